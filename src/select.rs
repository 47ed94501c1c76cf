//! Choosing containers by an expression: a value without I/O.
//!
//! The language is CEL, the Common Expression Language, in which Kubernetes
//! writes its admission rules. Everything that can be known of an expression
//! before it has seen a container is checked when it is parsed: its syntax, the
//! variables and functions that it names, and that it gives true or false.
//!
//! The cost of an evaluation depends on the container, and whoever starts that may
//! be a stranger. So its steps are counted before it begins ([`cost`]), and one that is not
//! small runs beside the runtime's own threads, with a deadline.

mod cost;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use cel::{
    Context, Env, ExecutionError, ParseErrors, Value,
    common::ast::{EntryExpr, Expr, IdedExpr},
    parser::PrattParser,
};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use crate::model::container::Container;
use cost::Sizes;

/// The names that an expression can use, and their kinds.
pub const VARIABLES: [(&str, &str); 6] = [
    ("labels", "map of strings"),
    ("env", "map of strings; SERVICE_* only"),
    ("image", "string"),
    ("name", "string"),
    ("networks", "list of strings"),
    ("network_mode", "string"),
];

/// CEL's names of types, and of what makes optional values.
const TYPES: [&str; 11] = [
    "bool",
    "bytes",
    "double",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "optional",
    "string",
    "uint",
];

const FUNCTIONS: [&str; 20] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "hasValue",
    "int",
    "matches",
    "none",
    "of",
    "ofNonZeroValue",
    "or",
    "orValue",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
    "value",
];

/// The longest expression in bytes.
const MAX_LENGTH: usize = 2048;
/// How deep an expression may nest; evaluating it takes stack for each level.
const MAX_DEPTH: usize = 160;
/// How many loops (`all`, `exists`, `map`, …) may stand in one another.
const MAX_LOOPS: usize = 2;

/// The variables of a container that an expression can see begin with this.
const ENV: &str = "SERVICE_";

/// The time of an evaluation, with the waiting for its turn.
const DEADLINE: Duration = Duration::from_secs(2);
/// Evaluations that run beside the runtime's threads at once. One that outlives its
/// deadline keeps its place, so that they cannot pile up.
static TURNS: Semaphore = Semaphore::const_new(2);

/// CEL's own functions, the same for all.
static LIBRARY: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// Why an expression cannot be used, or gives no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// It is not CEL.
    #[error("{0}")]
    Syntax(String),
    /// It names something that containers do not have.
    #[error("there is no variable {name:?}; there are {}", variables())]
    Variable {
        /// The name.
        name: String,
    },
    /// It calls something that there is not.
    #[error("there is no function {0:?}")]
    Function(String),
    /// It would take too long or too much.
    #[error("it is too costly: {0}")]
    Cost(String),
    /// It does not give true or false.
    #[error("it gives a {0} and neither true nor false")]
    NotBool(String),
    /// It fails on every container, or on this one.
    #[error("{0}")]
    Evaluate(String),
}

fn variables() -> String {
    VARIABLES.map(|(name, _)| name).join(", ")
}

/// An expression that says yes or no to a container. Cheap to clone.
#[derive(Clone)]
pub struct Selector {
    text: Arc<str>,
    expression: Arc<IdedExpr>,
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Selector").field(&self.text).finish()
    }
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Selector {}

impl Selector {
    /// Read an expression.
    ///
    /// # Errors
    ///
    /// It can be used on no container; see [`SelectError`].
    pub fn parse(text: &str) -> Result<Self, SelectError> {
        if text.len() > MAX_LENGTH {
            return Err(SelectError::Cost(format!("it is longer than {MAX_LENGTH} bytes")));
        }
        let parser = PrattParser::new().enable_optional_syntax(true);
        let expression = parser.parse(text).map_err(|errors| syntax(&errors))?;
        Walk { scope: Vec::new(), loops: 0 }.check(&expression, 0)?;
        let selector = Self { text: text.into(), expression: Arc::new(expression) };
        selector.try_out()?;
        Ok(selector)
    }

    /// The expression as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the expression is true of a container. Takes the thread for as long as
    /// the evaluation takes, which is bounded; see [`Selector::decide`].
    ///
    /// # Errors
    ///
    /// It would cost too much on this container, or it cannot be evaluated: most
    /// often it asks for a label that the container does not have, without asking
    /// first whether it has it.
    pub fn matches(&self, container: &Container) -> Result<bool, SelectError> {
        Sizes::of(container).steps(&self.expression)?;
        self.answer(Facts::of(container))
    }

    /// The same, on a thread of its own and with a deadline where the evaluation is
    /// not a small one. If the future is dropped, the evaluation still runs to its end.
    ///
    /// # Errors
    ///
    /// As for [`Selector::matches`], or it took too long.
    pub async fn decide(&self, container: &Container) -> Result<bool, SelectError> {
        let sizes = Sizes::of(container);
        let steps = sizes.steps(&self.expression)?;
        let facts = Facts::of(container);
        if sizes.is_small(steps) {
            return self.answer(facts);
        }
        let selector = self.clone();
        let evaluated = timeout(DEADLINE, async move {
            let turn = TURNS.acquire().await.expect("the semaphore is never closed");
            spawn_blocking(move || {
                let _turn = turn;
                selector.answer(facts)
            })
            .await
        });
        match evaluated.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                Err(SelectError::Evaluate(format!("its evaluation panicked: {error}")))
            }
            Err(_) => {
                let deadline = humantime::format_duration(DEADLINE);
                Err(SelectError::Cost(format!("it took longer than {deadline} on this container")))
            }
        }
    }

    fn answer(&self, facts: Facts) -> Result<bool, SelectError> {
        let mut context = Context::with_env(LIBRARY.clone());
        for (name, map) in [("labels", facts.labels), ("env", facts.env)] {
            context.add_variable_from_value(name, map);
        }
        context.add_variable_from_value("networks", facts.networks);
        for (name, value) in facts.texts {
            context.add_variable_from_value(name, value);
        }
        self.evaluate(&context).map_err(said)?.map_err(SelectError::NotBool)
    }

    /// Evaluate the expression on nothing: what fails then for another reason
    /// than that something is missing fails always.
    fn try_out(&self) -> Result<(), SelectError> {
        let mut context = Context::with_env(LIBRARY.clone());
        for name in ["labels", "env"] {
            context.add_variable_from_value(name, HashMap::<String, String>::new());
        }
        context.add_variable_from_value("networks", Vec::<String>::new());
        for name in ["image", "name", "network_mode"] {
            context.add_variable_from_value(name, String::new());
        }
        match self.evaluate(&context) {
            Ok(answer) => answer.map(drop).map_err(SelectError::NotBool),
            Err(error) if is_of_values(&error) => Ok(()),
            Err(error) => Err(said(error)),
        }
    }

    /// The answer, or the kind of what it is instead.
    fn evaluate(&self, context: &Context<'_, '_>) -> Result<Result<bool, String>, ExecutionError> {
        Ok(match Value::resolve(&self.expression, context)? {
            Value::Bool(answer) => Ok(answer),
            other => Err(other.type_of().to_string()),
        })
    }
}

/// The facts of a container that an expression is given.
struct Facts {
    labels: HashMap<String, String>,
    env: HashMap<String, String>,
    networks: Vec<String>,
    texts: [(&'static str, String); 3],
}

impl Facts {
    fn of(container: &Container) -> Self {
        let pair = |(key, value): (&String, &String)| (key.clone(), value.clone());
        // The last one counts, as for the container itself.
        let env = container.env.iter().map(|(key, value)| (key, value));
        Self {
            labels: container.labels.iter().map(pair).collect(),
            env: env.filter(|(key, _)| key.starts_with(ENV)).map(pair).collect(),
            networks: container.networks.iter().map(|network| network.name.clone()).collect(),
            texts: [
                ("image", container.image.clone()),
                ("name", container.name.clone()),
                ("network_mode", container.network_mode.clone()),
            ],
        }
    }
}

/// Whether an expression may fail so on one container and not on another. All
/// other faults are of kinds, which all containers have in common; a regular
/// expression is wrong for all of them, too.
fn is_of_values(error: &ExecutionError) -> bool {
    use ExecutionError as E;
    match error {
        E::FunctionError { function, .. } => function != "matches",
        E::NoSuchKey(_)
        | E::IndexOutOfBounds(_)
        | E::DivisionByZero(_)
        | E::RemainderByZero(_)
        | E::Overflow(..)
        | E::DuplicateKey(_) => true,
        _ => false,
    }
}

/// The parser's complaints in one line, with their places.
fn syntax(errors: &ParseErrors) -> SelectError {
    let line = |error: &cel::ParseError| {
        let (line, column) = error.pos;
        format!("line {line}, column {column}: {}", error.msg.replace(['\n', '\r'], " "))
    };
    SelectError::Syntax(errors.errors.iter().take(3).map(line).collect::<Vec<_>>().join("; "))
}

fn said(error: ExecutionError) -> SelectError {
    SelectError::Evaluate(match error {
        ExecutionError::NoSuchKey(key) => format!(
            "there is no {key:?}; ask first whether there is ({key:?} in labels), or say what \
             counts instead (labels[?{key:?}].orValue(\"\"))"
        ),
        other => other.to_string().replace(['\n', '\r'], " "),
    })
}

/// A walk over an expression before it is ever evaluated.
struct Walk<'a> {
    /// The variables of the loops around.
    scope: Vec<&'a str>,
    loops: usize,
}

impl<'a> Walk<'a> {
    fn check(&mut self, expression: &'a IdedExpr, depth: usize) -> Result<(), SelectError> {
        if depth > MAX_DEPTH {
            return Err(SelectError::Cost(format!("it nests deeper than {MAX_DEPTH} levels")));
        }
        let depth = depth + 1;
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.check(&select.operand, depth),
            Expr::Struct(made) => Err(SelectError::Variable { name: made.type_name.clone() }),
            Expr::List(list) => list.elements.iter().try_for_each(|one| self.check(one, depth)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::StructField(field) => self.check(&field.value, depth),
                EntryExpr::MapEntry(entry) => {
                    self.check(&entry.key, depth)?;
                    self.check(&entry.value, depth)
                }
            }),
            Expr::Call(call) => {
                let name = call.func_name.as_str();
                // Operators have names that nobody can write.
                let word = name.chars().all(|c| c.is_alphanumeric() || c == '_');
                if word && !FUNCTIONS.contains(&name) {
                    return Err(SelectError::Function(name.to_string()));
                }
                if let Some(target) = &call.target {
                    self.check(target, depth)?;
                }
                call.args.iter().try_for_each(|one| self.check(one, depth))
            }
            Expr::Comprehension(over) => {
                self.check(&over.iter_range, depth)?;
                self.check(&over.accu_init, depth)?;
                if self.loops == MAX_LOOPS {
                    let text = format!("more than {MAX_LOOPS} loops stand in one another");
                    return Err(SelectError::Cost(text));
                }
                self.loops += 1;
                let outside = self.scope.len();
                self.scope.extend([over.iter_var.as_str(), over.accu_var.as_str()]);
                self.scope.extend(over.iter_var2.as_deref());
                let parts = [&over.loop_cond, &over.loop_step, &over.result];
                let checked = parts.into_iter().try_for_each(|part| self.check(part, depth));
                self.scope.truncate(outside);
                self.loops -= 1;
                checked
            }
        }
    }

    fn name(&self, name: &str) -> Result<(), SelectError> {
        let known = VARIABLES.iter().any(|(variable, _)| *variable == name)
            || TYPES.contains(&name)
            || name.starts_with('@')
            || self.scope.contains(&name);
        if known { Ok(()) } else { Err(SelectError::Variable { name: name.to_string() }) }
    }
}

#[cfg(test)]
mod tests;
