//! `wharfinger plugin inspect`: what a component is, what it says of itself, and
//! what a configuration has to say so that it runs.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;
use clap::Args;
use serde_json::{Map, Value, json};

use super::{Report, failure::Failure, render, workbench::Workbench};
use crate::{
    config::Grant,
    pipeline::Wants,
    stages::plugin::{Identity, Import, Limits, Meaning, Outline},
    text,
};

/// What describing itself may take, whatever the stage may use later.
const LIMITS: Limits = Limits {
    timeout: Duration::from_secs(5),
    memory: ByteSize::gib(1),
    instances: *Limits::INSTANCES.end(),
    table_elements: *Limits::TABLE_ELEMENTS.end(),
    ..Limits::DEFAULT
};

/// Show what a component is: its contract, name and version, what it imports and
/// which line of the configuration grants that, its size and digest, and the
/// settings that it knows.
///
/// All but its name, version, summary and settings is read from the file without
/// running it. For those it is asked to describe itself, within limits, and
/// without anything beyond the contract.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Keys of --json: file, size, digest, world, contract, wants (image, setup, agent, engine),
moving (contract, brings: for each later version), instances, plugin (name, version, summary, attributes), imports (name, meaning: contract, inert, inert-unless-granted, needs-grant or refused,
grant: the line), start_memory, settings_schema, configuration (text for the configuration file).")]
pub(super) struct InspectArgs {
    /// The component.
    file: PathBuf,

    /// The time in which it has to describe itself.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// A component that was looked at.
pub(super) struct Looked {
    pub(super) outline: Outline,
    pub(super) identity: Identity,
    start_memory: ByteSize,
}

/// Look at a component, and let it describe itself.
pub(super) async fn look(file: &Path, cache: Option<&Path>) -> Result<Looked, Failure> {
    look_within(LIMITS, file, cache).await
}

async fn look_within(limits: Limits, file: &Path, cache: Option<&Path>) -> Result<Looked, Failure> {
    let outline = Outline::of(file)?;
    let refused: Vec<_> =
        outline.imports.iter().filter(|import| import.meaning == Meaning::Refused).collect();
    if !refused.is_empty() {
        let name = |import: &&Import| format!("{}: no stage can be granted it", import.name);
        let failure = Failure::new(format!("{} imports what no stage gets", file.display()))
            .hint("build it without what imports these, such as sockets");
        return Err(Failure { faults: refused.iter().map(name).collect(), ..failure });
    }
    let bench = Workbench::new(cache, 1, limits, None)?;
    let stage = bench.describe(file, &nowhere()).await?;
    let identity = stage.identity().clone();
    Ok(Looked { outline, identity, start_memory: stage.start_memory() })
}

/// Grants by which any stage links, and which lead nowhere.
pub(super) fn nowhere() -> Grant {
    Grant {
        http: vec!["https://wharfinger.invalid/".into()],
        kv: Some("nowhere".into()),
        ..Grant::default()
    }
}

pub(super) async fn inspect(args: &InspectArgs, cache: Option<&Path>) -> Result<Report, Failure> {
    let limits = Limits { timeout: args.timeout, ..LIMITS };
    if let Some((key, fault)) = limits.faults().into_iter().find(|(key, _)| *key == "timeout") {
        return Err(Failure::new(format!("--{key}: {fault}")));
    }
    let looked = look_within(limits, &args.file, cache).await?;
    let schema = schema(&looked.identity)?;
    let text = text(&args.file, &looked, schema.as_ref());
    Ok(Report::good(text, json(&args.file, &looked, schema)))
}

/// The schema of the settings as JSON.
pub(super) fn schema(identity: &Identity) -> Result<Option<Value>, Failure> {
    let Some(text) = &identity.settings_schema else { return Ok(None) };
    let wrong = |what: String| {
        Failure::new(format!("the settings schema of {} is {what}", identity.name))
            .hint("`describe` has to return a JSON schema, or none")
    };
    let value: Value = serde_json::from_slice(text.as_bytes())
        .map_err(|error| wrong(format!("not JSON: {error}")))?;
    match value {
        Value::Object(_) | Value::Bool(_) => Ok(Some(value)),
        _ => Err(wrong("JSON, but no schema".into())),
    }
}

fn text(file: &Path, looked: &Looked, schema: Option<&Value>) -> String {
    let Looked { outline, identity, start_memory } = looked;
    let mut rows = vec![
        ("plugin", format!("{} {}", identity.name, identity.version)),
        ("summary", identity.summary.clone()),
        ("world", outline.world()),
        ("wants", wants(identity.wants)),
    ];
    rows.extend(outline.later.iter().map(|later| ("moving", moving(outline.contract, *later))));
    rows.extend([
        ("size", render::size(outline.size)),
        ("digest", format!("sha256:{}", outline.digest)),
        ("instances", over(outline.instances, Limits::DEFAULT.instances)),
        ("memory", format!("{start_memory} at its start")),
    ]);
    rows.extend(identity.attributes.iter().map(|(key, value)| (key.as_str(), value.clone())));
    let shown = file.display().to_string();
    let mut text = format!("{}\n{}", text::shown(&shown), render::table("  ", &rows));
    text += "\nimports\n";
    let imports: Vec<_> = outline
        .imports
        .iter()
        .map(|import| (import.name.as_str(), words(import.meaning)))
        .collect();
    text += &render::table("  ", &imports);
    text += "\nsettings\n";
    text += &match schema {
        Some(schema) => render::indented("  ", &text::json(&format!("{schema:#}"))),
        None => "  it has no schema of them\n".into(),
    };
    text += "\nconfiguration\n";
    text + &render::indented("  ", &configuration(file, looked))
}

/// What it is shown beyond a container and its services.
fn wants(wants: Wants) -> String {
    match wants.words().as_slice() {
        [] => "nothing beyond a container and its services".into(),
        words => words.join(", "),
    }
}

/// What a component would have of a later version of the contract, and that it need not have it.
fn moving(contract: &str, (later, brings): (&str, &str)) -> String {
    format!(
        "built against {contract}, which goes on loading; built again against {later} it {brings} \
         (docs/contract.md says what changes in its code)"
    )
}

fn over(count: u32, limit: u32) -> String {
    match count > limit {
        true => format!("{count}, more than the {limit} that a stage may have by default"),
        false => count.to_string(),
    }
}

fn words(meaning: Meaning) -> String {
    match meaning {
        Meaning::Contract => "part of the contract".into(),
        Meaning::Inert => "gives nothing away".into(),
        Meaning::InertUnless(line) => format!("gives nothing away; the real thing with `{line}`"),
        Meaning::Needs(line) => format!("is refused without `{line}`"),
        Meaning::Refused => "is refused".into(),
    }
}

/// The stage's table for the configuration file.
fn configuration(file: &Path, looked: &Looked) -> String {
    let Looked { outline, identity, start_memory } = looked;
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let plain = !identity.name.is_empty() && text::shown(&identity.name) == identity.name;
    let name = if plain { &identity.name } else { "plugin" };
    let mut text = format!(
        "[[pipeline]]\nname = {}\nfile = {}\n",
        quoted(name),
        quoted(&file.display().to_string())
    );
    if outline.instances > Limits::DEFAULT.instances {
        text += &format!("limits.instances = {}\n", outline.instances);
    }
    if start_memory.as_u64() * 3 / 2 > Limits::DEFAULT.memory.as_u64() {
        let enough = (start_memory.as_u64() * 2).next_multiple_of(32 << 20);
        text += &format!("memory = \"{}MiB\"\n", enough >> 20);
    }
    let mut lines: Vec<_> = outline
        .imports
        .iter()
        .filter_map(|import| match import.meaning {
            Meaning::Needs(line) => Some(line),
            _ => None,
        })
        .collect();
    lines.dedup();
    lines.sort_unstable();
    lines.dedup();
    lines.iter().for_each(|line| text += &format!("{line}\n"));
    text
}

fn moving_json((contract, brings): &(&str, &str)) -> Value {
    json!({ "contract": contract, "brings": brings })
}

fn json(file: &Path, looked: &Looked, schema: Option<Value>) -> Value {
    let Looked { outline, identity, start_memory } = looked;
    let import = |import: &Import| {
        let (meaning, grant) = match import.meaning {
            Meaning::Contract => ("contract", None),
            Meaning::Inert => ("inert", None),
            Meaning::InertUnless(line) => ("inert-unless-granted", Some(line)),
            Meaning::Needs(line) => ("needs-grant", Some(line)),
            Meaning::Refused => ("refused", None),
        };
        json!({ "name": import.name, "meaning": meaning, "grant": grant })
    };
    let attributes: Map<_, _> = identity
        .attributes
        .iter()
        .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
        .collect();
    json!({
        "file": file.display().to_string(),
        "size": outline.size,
        "digest": format!("sha256:{}", outline.digest),
        "world": outline.world(),
        "contract": outline.contract,
        "wants": identity.wants.words(),
        "moving": outline.later.iter().map(moving_json).collect::<Vec<_>>(),
        "instances": outline.instances,
        "plugin": {
            "name": identity.name,
            "version": identity.version,
            "summary": identity.summary,
            "attributes": attributes,
        },
        "imports": outline.imports.iter().map(import).collect::<Vec<_>>(),
        "start_memory": start_memory.as_u64(),
        "settings_schema": schema,
        "configuration": configuration(file, looked),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn looked(instances: u32, memory: ByteSize, imports: Vec<Import>) -> Looked {
        let outline = Outline {
            contract: "0.1.0",
            later: Vec::new(),
            size: 1,
            digest: "00".into(),
            instances,
            imports,
        };
        let identity = Identity { name: "a \"b\"".into(), ..Identity::default() };
        Looked { outline, identity, start_memory: memory }
    }

    #[test]
    fn the_configuration_is_one_that_wharfinger_reads() {
        let import = |name: &str, meaning| Import { name: name.into(), meaning };
        let looked = looked(
            Limits::DEFAULT.instances + 1,
            ByteSize::mib(60),
            vec![
                import("wharfinger:host/kv@0.1.0", Meaning::Needs(r#"grant.kv = "PREFIX""#)),
                import("wasi:cli/x@0.2.0", Meaning::Inert),
                import("wasi:clocks/x@0.2.0", Meaning::InertUnless("grant.clock = true")),
            ],
        );
        let text = configuration(Path::new("/p/a.wasm"), &looked);
        let config = Config::parse(&text, Path::new("w.toml"), Path::new("/")).expect(&text);
        let stage = &config.pipeline[0];
        assert_eq!(stage.name, "a \"b\"");
        assert_eq!(stage.limits.instances, Some(Limits::DEFAULT.instances + 1));
        assert_eq!(stage.memory, Some(ByteSize::mib(128)));
        assert_eq!(stage.grant.kv.as_deref(), Some("PREFIX"));
        assert!(!stage.grant.clock);
    }

    #[test]
    fn what_fits_the_defaults_needs_two_lines() {
        let text = configuration(Path::new("a.wasm"), &looked(3, ByteSize::mib(1), vec![]));
        assert_eq!(text, "[[pipeline]]\nname = 'a \"b\"'\nfile = \"a.wasm\"\n");
    }

    #[test]
    fn a_schema_that_is_none_is_said_to_be_none() {
        let with =
            |text: &str| Identity { settings_schema: Some(text.into()), ..Identity::default() };
        assert_eq!(schema(&Identity::default()), Ok(None));
        assert_eq!(schema(&with("true")), Ok(Some(true.into())));
        assert!(schema(&with("{")).expect_err("no JSON").message.contains("not JSON"));
        assert!(schema(&with("3")).is_err());
    }
}
