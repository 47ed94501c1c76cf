//! The parts of a component, counted before anything is compiled: a component of a few
//! bytes can be made of two of which each is made of two, and so on.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Encoding, Instance, Parser, Payload,
};

use crate::stages::plugin::imports::{ComponentFault, damaged};

/// Instances of components that a stage may be made of; one of JavaScript has ten.
const MOST: u64 = 500;
/// The depth to which components may be defined in each other.
const DEPTH: usize = 50;

/// The imports and exports of the outermost component, the core instances that there are
/// in all of it, or are made of it if that is more, and the tables of the module that has
/// the most.
pub(super) struct Outline {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
    pub(super) instances: u32,
    pub(super) tables: u32,
}

/// The core instances and components that one instance of a component comes to.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    core: u64,
    components: u64,
}

/// Something that is being defined.
enum Frame {
    Module,
    Component {
        cost: Cost,
        /// Of each component by its index the cost, if it is known.
        known: Vec<Option<Cost>>,
    },
}

pub(super) fn outline(bytes: &[u8]) -> Result<Outline, ComponentFault> {
    let mut found = Outline { imports: Vec::new(), exports: Vec::new(), instances: 0, tables: 0 };
    let mut frames: Vec<Frame> = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let outermost = frames.len() == 1;
        match payload.map_err(damaged)? {
            Payload::Version { encoding: Encoding::Module, .. } => {
                if frames.is_empty() {
                    return Err(ComponentFault::CoreModule);
                }
                frames.push(Frame::Module);
            }
            Payload::Version { encoding: Encoding::Component, .. } => {
                if frames.len() >= DEPTH {
                    return Err(ComponentFault::Damaged("it is nested too deeply".into()));
                }
                frames.push(Frame::Component { cost: Cost::default(), known: Vec::new() });
            }
            Payload::End(_) => {
                if let Some(Frame::Component { cost, .. }) = frames.pop() {
                    match frames.last_mut() {
                        Some(Frame::Component { known, .. }) => known.push(Some(cost)),
                        _ => {
                            let core = u32::try_from(cost.core).unwrap_or(u32::MAX);
                            found.instances = found.instances.max(core);
                        }
                    }
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    if let Instance::Instantiate { .. } = instance.map_err(damaged)? {
                        // What is compiled counts once, also where it is not used.
                        found.instances = found.instances.saturating_add(1);
                        add(&mut frames, Cost { core: 1, components: 0 })?;
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    let instance = instance.map_err(damaged)?;
                    if let ComponentInstance::Instantiate { component_index, .. } = instance {
                        let cost = at(&frames, 0, component_index)?;
                        let cost = cost.ok_or(ComponentFault::Unbounded)?;
                        add(&mut frames, Cost { components: cost.components + 1, ..cost })?;
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    let known = match alias.map_err(damaged)? {
                        ComponentAlias::Outer {
                            kind: ComponentOuterAliasKind::Component,
                            count,
                            index,
                        } => at(&frames, count, index)?,
                        ComponentAlias::InstanceExport {
                            kind: ComponentExternalKind::Component,
                            ..
                        } => None,
                        _ => continue,
                    };
                    define(&mut frames, known);
                }
            }
            Payload::TableSection(section) => found.tables = found.tables.max(section.count()),
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let import = import.map_err(damaged)?;
                    if let ComponentTypeRef::Component(_) = import.ty {
                        define(&mut frames, None);
                    }
                    if outermost {
                        found.imports.push(import.name.name.to_string());
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export.map_err(damaged)?;
                    if export.kind == ComponentExternalKind::Component {
                        // It can be named by the export as well.
                        let known = at(&frames, 0, export.index)?;
                        define(&mut frames, known);
                    }
                    if outermost && export.kind != ComponentExternalKind::Type {
                        found.exports.push(export.name.name.to_string());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Add what an instance comes to, in what is being defined.
fn add(frames: &mut [Frame], more: Cost) -> Result<(), ComponentFault> {
    let Some(Frame::Component { cost, .. }) = frames.last_mut() else { return Ok(()) };
    cost.core = cost.core.saturating_add(more.core);
    cost.components = cost.components.saturating_add(more.components);
    match cost.components > MOST {
        true => Err(ComponentFault::Sprawling { found: cost.components, limit: MOST }),
        false => Ok(()),
    }
}

fn define(frames: &mut [Frame], cost: Option<Cost>) {
    if let Some(Frame::Component { known, .. }) = frames.last_mut() {
        known.push(cost);
    }
}

/// The cost of an instance of the component that is defined so many components
/// outwards under this index.
fn at(frames: &[Frame], outwards: u32, index: u32) -> Result<Option<Cost>, ComponentFault> {
    let place = usize::try_from(outwards).ok().and_then(|n| frames.len().checked_sub(n + 1));
    let cost = match place.and_then(|place| frames.get(place)) {
        Some(Frame::Component { known, .. }) => known.get(index as usize).copied(),
        _ => None,
    };
    cost.ok_or_else(|| ComponentFault::Damaged("it names a component that is not there".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<u32, ComponentFault> {
        outline(&wat::parse_str(text).expect("the text is WebAssembly")).map(|it| it.instances)
    }

    /// A component of this many levels, of which each has the next one twice.
    fn doubled(levels: usize) -> String {
        let mut text =
            "(component $c0 (core module $m) (core instance (instantiate $m)))".to_string();
        for n in 1..=levels {
            let (n, before) = (n, n - 1);
            text += &format!(
                "(component $c{n} (alias outer $root $c{before} (component $x))
                    (instance (instantiate $x)) (instance (instantiate $x)))"
            );
        }
        format!("(component $root {text} (instance (instantiate $c{levels})))")
    }

    #[test]
    fn parts_of_parts_are_counted() {
        assert_eq!(check("(component)"), Ok(0));
        assert_eq!(check(&doubled(0)), Ok(1));
        assert_eq!(check(&doubled(3)), Ok(8));
        // What is only defined counts once.
        let unused = "(component (component (core module $m) (core instance (instantiate $m))))";
        assert_eq!(check(unused), Ok(1));
        // By the name of an export, and defined within.
        let exported = r#"(component (component $a (core module $m) (core instance (instantiate $m)))
            (export $b "b" (component $a)) (instance (instantiate $b)) (instance (instantiate $a)))"#;
        assert_eq!(check(exported), Ok(2));
    }

    #[test]
    fn what_grows_with_each_level_is_refused() {
        for levels in [9, 30, 64] {
            assert!(
                matches!(check(&doubled(levels)), Err(ComponentFault::Sprawling { .. })),
                "{levels}"
            );
        }
        let many = "(instance (instantiate $c))".repeat(501);
        let flat = format!("(component (component $c) {many})");
        assert_eq!(check(&flat), Err(ComponentFault::Sprawling { found: 501, limit: 500 }));
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        let handed =
            r#"(component (component $a (import "x" (component $x)) (instance (instantiate $x))))"#;
        assert_eq!(check(handed), Err(ComponentFault::Unbounded));
        let taken = r#"(component (component $a (component $b) (export "b" (component $b)))
            (instance $i (instantiate $a)) (alias export $i "b" (component $c)) (instance (instantiate $c)))"#;
        assert_eq!(check(taken), Err(ComponentFault::Unbounded));
        let deep = "(component ".repeat(DEPTH + 1) + &")".repeat(DEPTH + 1);
        assert_eq!(check(&deep), Err(ComponentFault::Damaged("it is nested too deeply".into())));
    }
}
