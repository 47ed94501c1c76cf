//! When a rollout stops by itself: an expression over the numbers of the fleet. A value without
//! I/O.
//!
//! The language is CEL, of which numbers, comparisons and logic can be used: no lists, no loops
//! and no functions, so that what it costs is its length.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, LazyLock},
};

use cel::{
    Context, Env, ExecutionError, Value,
    common::ast::{Expr, IdedExpr},
    parser::PrattParser,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest expression in bytes, and how deep it may nest.
const MAX_LENGTH: usize = 512;
const MAX_DEPTH: usize = 60;

/// CEL's own operators.
static LIBRARY: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// The fleet in numbers, as an expression can ask for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// The hosts that Consul lists.
    pub hosts: u32,
    /// Those that have the rollout's bundle in force.
    pub done: u32,
    /// Those that have refused it.
    pub refused: u32,
    /// The changes that guards hold, of all hosts together.
    pub held: u32,
    /// The hosts on which a stage is unhealthy.
    pub unhealthy: u32,
    /// The hosts that Consul lists and has not heard of in time.
    pub lost: u32,
}

impl Figures {
    /// The numbers with their names.
    fn named(self) -> [(&'static str, u32); 6] {
        let Self { hosts, done, refused, held, unhealthy, lost } = self;
        [
            ("hosts", hosts),
            ("done", done),
            ("refused", refused),
            ("held", held),
            ("unhealthy", unhealthy),
            ("lost", lost),
        ]
    }
}

/// Why an expression cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHalt {
    /// It is not CEL, or too long.
    #[error("{0}")]
    Syntax(String),
    /// It uses something else than numbers, comparisons and logic.
    #[error("{_0} cannot be used here; there are numbers, comparisons, logic and {names}", names = names())]
    Part(String),
    /// It does not give true or false.
    #[error("it gives neither true nor false but {0}")]
    NotBool(String),
    /// It fails on every fleet.
    #[error("{0}")]
    Fails(String),
}

fn names() -> String {
    Figures::default().named().map(|(name, _)| name).join(", ")
}

/// An expression that is true of a fleet on which a rollout goes no further.
#[derive(Clone)]
pub struct HaltWhen {
    text: Arc<str>,
    expression: Arc<IdedExpr>,
}

impl HaltWhen {
    /// Whether the rollout goes no further. A condition that has no value, such as a share of no
    /// hosts, counts as yes.
    #[must_use]
    pub fn halts(&self, figures: Figures) -> bool {
        !matches!(self.value(figures), Ok(Value::Bool(false)))
    }

    fn value(&self, figures: Figures) -> Result<Value, ExecutionError> {
        let mut context = Context::with_env(LIBRARY.clone());
        for (name, number) in figures.named() {
            context.add_variable_from_value(name, i64::from(number));
        }
        Value::resolve(&self.expression, &context)
    }
}

impl FromStr for HaltWhen {
    type Err = BadHalt;

    fn from_str(text: &str) -> Result<Self, BadHalt> {
        if text.len() > MAX_LENGTH {
            return Err(BadHalt::Syntax(format!("it is longer than {MAX_LENGTH} bytes")));
        }
        let expression = PrattParser::new().parse(text).map_err(|errors| {
            let first = errors.errors.first().map(|error| error.msg.replace(['\n', '\r'], " "));
            BadHalt::Syntax(first.unwrap_or_else(|| "it is no expression".into()))
        })?;
        check(&expression, 0)?;
        let halt = Self { text: text.into(), expression: Arc::new(expression) };
        let ones = Figures { hosts: 1, done: 1, refused: 1, held: 1, unhealthy: 1, lost: 1 };
        // A condition that fails on one fleet need not fail on another: a division may be by none.
        let mut values =
            [halt.value(ones), halt.value(Figures { hosts: 7, ..Figures::default() })].into_iter();
        match values.find_map(|value| match value {
            Ok(Value::Bool(_)) | Err(ExecutionError::DivisionByZero(_)) => None,
            Err(ExecutionError::RemainderByZero(_)) => None,
            Ok(other) => Some(BadHalt::NotBool(format!("a {}", other.type_of()))),
            Err(error) => Some(BadHalt::Fails(error.to_string().replace(['\n', '\r'], " "))),
        }) {
            Some(fault) => Err(fault),
            None => Ok(halt),
        }
    }
}

fn check(expression: &IdedExpr, depth: usize) -> Result<(), BadHalt> {
    if depth > MAX_DEPTH {
        return Err(BadHalt::Syntax(format!("it nests deeper than {MAX_DEPTH} levels")));
    }
    let part = |words: &str| Err(BadHalt::Part(words.into()));
    match &expression.expr {
        Expr::Literal(_) => Ok(()),
        Expr::Ident(name) if Figures::default().named().iter().any(|(one, _)| one == name) => {
            Ok(())
        }
        Expr::Ident(name) => Err(BadHalt::Part(format!("the name {name:?}"))),
        Expr::Call(call) => {
            // Operators have names that nobody can write.
            if call.func_name.chars().all(|c| c.is_alphanumeric() || c == '_')
                || call.target.is_some()
            {
                return Err(BadHalt::Part(format!("the function {:?}", call.func_name)));
            }
            call.args.iter().try_for_each(|one| check(one, depth + 1))
        }
        Expr::List(_) | Expr::Map(_) => part("a list"),
        Expr::Comprehension(_) => part("a loop"),
        Expr::Select(_) | Expr::Struct(_) | Expr::Unspecified => part("a field"),
    }
}

impl fmt::Display for HaltWhen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl fmt::Debug for HaltWhen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("HaltWhen").field(&self.text).finish()
    }
}

impl PartialEq for HaltWhen {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for HaltWhen {}

impl Serialize for HaltWhen {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HaltWhen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_true_of_the_fleets_that_it_means() {
        let fleet = Figures { hosts: 100, held: 2, ..Figures::default() };
        for (text, halts) in [
            ("refused > 0 || held * 50 > hosts", false),
            ("refused > 0 || held * 49 >= hosts - 2", true),
            ("lost + unhealthy > 0", false),
            ("!(done == hosts)", true),
            ("held > (hosts > 50 ? 1 : 0)", true),
            ("true", true),
            // A condition without a value counts as yes.
            ("hosts / refused > 5", true),
            ("hosts % lost > 5", true),
        ] {
            let read: HaltWhen = text.parse().expect(text);
            assert_eq!(read.halts(fleet), halts, "{text}");
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn what_could_never_be_told_or_costs_without_end_is_refused() {
        let long = "1 + ".repeat(200) + "1 > 0";
        let deep = "1+(".repeat(80) + "1" + &")".repeat(80) + "> 0";
        for (text, part) in [
            ("", ""),
            ("refused >", ""),
            ("refused", "neither true nor false"),
            ("refuse > 0", "the name \"refuse\""),
            ("size('a') > 0", "the function \"size\""),
            ("'a'.matches('a')", "the function \"matches\""),
            ("refused in [1]", "a list"),
            ("[1, 2].all(x, x > 0)", ""),
            ("fleet.refused > 0", "a field"),
            ("refused > 'a'", ""),
            (&long, "longer than"),
            (&deep, "nests deeper"),
            ("hosts * 9223372036854775807 > 0", ""),
        ] {
            let fault = text.parse::<HaltWhen>().expect_err(text).to_string();
            assert!(fault.contains(part), "{text}: {fault}");
        }
    }
}
