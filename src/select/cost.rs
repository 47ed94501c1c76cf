//! The cost of an expression on a container, known before it is evaluated: an
//! evaluation can neither be counted nor be ended while it runs.
//!
//! The operator writes the expression, and whoever starts a container decides
//! how many labels it has and how long they are. So the steps are counted on the
//! expression with the sizes of the container's facts in the place of the facts.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};

use super::SelectError;
use crate::model::container::Container;

/// The bytes of labels, variables and names that an expression is given.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// The steps of one evaluation; a million of them take less than a second.
pub(super) const MAX_STEPS: u64 = 2_000_000;
/// An evaluation of so many steps over so many bytes takes a few milliseconds.
const SMALL_STEPS: u64 = 20_000;
const SMALL_BYTES: usize = 64 << 10;

/// A text of this length is worth a step of its own to whoever looks at it.
const TEXT: usize = 1024;
/// The steps that an iteration takes beside its own.
const ITERATION: u64 = 4;
/// The steps of a regular expression, which is compiled for each match: for one that
/// stands in the expression, for each of its bytes, and for one that is the
/// container's, of which only the largest size is known.
const REGEX: u64 = 500;
const REGEX_BYTE: u64 = 10;
const STRANGE_REGEX: u64 = 200_000;

/// The sizes of the facts that an expression is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    labels: u64,
    env: u64,
    networks: u64,
    bytes: usize,
    /// The steps that the longest text takes.
    text: u64,
}

impl Sizes {
    pub(super) fn of(container: &Container) -> Self {
        let variables = || container.env.iter().filter(|(key, _)| key.starts_with(super::ENV));
        let networks = container.networks.iter().map(|network| &network.name);
        let Container { image, name, network_mode, .. } = container;
        let texts = container.labels.iter().flat_map(|(key, value)| [key, value]);
        let texts = texts.chain(variables().flat_map(|(key, value)| [key, value]));
        let texts = texts.chain(networks).chain([image, name, network_mode]);
        let (bytes, longest) =
            texts.fold((0, 0), |(sum, most), text| (sum + text.len(), text.len().max(most)));
        Self {
            labels: container.labels.len() as u64,
            env: variables().count() as u64,
            networks: container.networks.len() as u64,
            bytes,
            text: 1 + (longest / TEXT) as u64,
        }
    }

    /// The steps of an expression.
    ///
    /// # Errors
    ///
    /// There are more than an evaluation may take, or it would be given too much.
    pub(super) fn steps(&self, expression: &IdedExpr) -> Result<u64, SelectError> {
        if self.bytes > MAX_BYTES {
            return Err(SelectError::Cost(format!(
                "the container's labels, variables and names have {} bytes; {MAX_BYTES} are allowed",
                self.bytes
            )));
        }
        match self.cost(expression) {
            steps if steps > MAX_STEPS => Err(SelectError::Cost(format!(
                "it would take {steps} steps on this container's {} labels, {} variables and {} \
                 networks; {MAX_STEPS} are allowed",
                self.labels, self.env, self.networks
            ))),
            steps => Ok(steps),
        }
    }

    /// Whether an evaluation of so many steps takes no time worth speaking of.
    pub(super) fn is_small(&self, steps: u64) -> bool {
        steps <= SMALL_STEPS && self.bytes <= SMALL_BYTES
    }

    fn cost(&self, expression: &IdedExpr) -> u64 {
        let sum = |parts: &mut dyn Iterator<Item = &IdedExpr>| {
            parts.fold(1_u64, |sum, part| sum.saturating_add(self.cost(part)))
        };
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => 1,
            // As a value it may be compared, copied or turned into text.
            Expr::Ident(_) => 1 + self.collection(expression).unwrap_or_default(),
            Expr::Select(select) => self.looked_into(&select.operand),
            Expr::Struct(_) => 1,
            Expr::List(list) => sum(&mut list.elements.iter()),
            Expr::Map(map) => sum(&mut map.entries.iter().flat_map(|entry| match &entry.expr {
                EntryExpr::StructField(field) => vec![&field.value],
                EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
            })),
            Expr::Call(call) => {
                let into = match call.func_name.as_str() {
                    operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT => Some(0),
                    operators::IN if self.is_map(call.args.get(1)) => Some(1),
                    _ => None,
                };
                let own = match call.func_name.as_str() {
                    "matches" => self.regex(call.args.last()),
                    _ => self.text,
                };
                let target = call.target.iter().map(|target| &**target);
                let parts = call.args.iter().enumerate().map(|(place, part)| {
                    if Some(place) == into { self.looked_into(part) } else { self.cost(part) }
                });
                let target = target.map(|target| self.cost(target));
                parts.chain(target).fold(own, u64::saturating_add)
            }
            Expr::Comprehension(over) => {
                let each = [&over.loop_cond, &over.loop_step].map(|part| self.cost(part));
                let each = each.into_iter().fold(ITERATION, u64::saturating_add);
                let once = [&over.accu_init, &over.result].map(|part| self.cost(part));
                let once =
                    once.into_iter().fold(self.looked_into(&over.iter_range), u64::saturating_add);
                once.saturating_add(self.length(&over.iter_range).saturating_mul(each))
            }
        }
    }

    /// The steps that it takes to find something in a value, or to begin with its elements.
    fn looked_into(&self, value: &IdedExpr) -> u64 {
        match self.collection(value) {
            Some(_) => 1,
            None => self.cost(value),
        }
    }

    fn regex(&self, pattern: Option<&IdedExpr>) -> u64 {
        let known = pattern.and_then(|pattern| match &pattern.expr {
            Expr::Literal(LiteralValue::String(text)) => Some(text.inner().len() as u64),
            _ => None,
        });
        let compiled = known.map_or(STRANGE_REGEX, |length| REGEX + REGEX_BYTE * length);
        // Matching takes time by the length of both.
        compiled + self.text.saturating_mul(known.unwrap_or(1).max(TEXT as u64 / 16))
    }

    /// The number of elements if the expression is one of the container's.
    fn collection(&self, expression: &IdedExpr) -> Option<u64> {
        match &expression.expr {
            Expr::Ident(name) => match name.trim_start_matches('.') {
                "labels" => Some(self.labels),
                "env" => Some(self.env),
                "networks" => Some(self.networks),
                _ => None,
            },
            _ => None,
        }
    }

    fn is_map(&self, expression: Option<&IdedExpr>) -> bool {
        let named = |name: &String| matches!(name.trim_start_matches('.'), "labels" | "env");
        matches!(expression.map(|it| &it.expr), Some(Expr::Ident(name)) if named(name))
    }

    /// The most elements that a loop goes over.
    fn length(&self, range: &IdedExpr) -> u64 {
        let most = || self.labels.max(self.env).max(self.networks).max(self.text);
        match &range.expr {
            Expr::Ident(_) => self.collection(range).unwrap_or_else(most),
            Expr::List(list) => list.elements.len() as u64,
            Expr::Map(map) => map.entries.len() as u64,
            Expr::Comprehension(over) => self.length(&over.iter_range),
            // Lists that are put together, or one of two.
            Expr::Call(call) => {
                let parts = call.args.iter().chain(call.target.as_deref());
                parts.fold(1, |sum, part| sum.saturating_add(self.length(part)))
            }
            Expr::Literal(_) => 1,
            _ => most(),
        }
    }
}
