//! What could not be done, and what to do about it.

use std::fmt;

use serde_json::{Value, json};

use crate::{
    error::error_chain,
    pipeline::StageError,
    policy::oci::OciError,
    stages::plugin::{ComponentFault, LoadError},
    text,
};

/// What was wanted could not be done.
const FAILURE: u8 = 1;

/// A command that could not do what it is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What happened, and to what.
    pub(super) message: String,
    /// What to do next.
    pub(super) hint: Option<String>,
    /// Every fault, where there can be several.
    pub(super) faults: Vec<String>,
    /// The exit code.
    pub(super) code: u8,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, faults: Vec::new(), code: FAILURE }
    }

    /// The same with the next step.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Something that a registry of images was to do.
    pub(super) fn of_registry(attempt: String, error: &OciError) -> Self {
        Self::new(format!("{attempt}: {}", error_chain(error))).hint(match error {
            OciError::Login { .. } => "`docker login` keeps a login for it, in config.json",
            OciError::Missing { .. } => "name a tag or a digest that is there",
            OciError::Client(_) | OciError::Request { .. } | OciError::Silent { .. } => {
                "see whether it is there; --plain-http is for one without TLS, --ca-file for one \
                 with authorities of its own"
            }
            OciError::OtherDigest { .. } => "push to a tag; the digest follows from the file",
            OciError::Bundle(_) => {
                "`wharfinger plugin push` makes what is wanted, `wharfinger policy pull` fetches \
                 a policy"
            }
            OciError::Status { .. } => {
                "see whether the login may do this, and whether the place is right"
            }
            OciError::Redirect { .. } | OciError::TooLarge { .. } | OciError::Damaged { .. } => {
                "tell whoever runs the registry; nothing was taken from it"
            }
        })
    }

    /// For a program.
    pub(super) fn json(&self) -> Value {
        let mut error = json!({ "message": self.message });
        if let Some(hint) = &self.hint {
            error["hint"] = hint.as_str().into();
        }
        if !self.faults.is_empty() {
            error["faults"] = self.faults.clone().into();
        }
        json!({ "error": error })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", text::shown(&self.message))?;
        for fault in &self.faults {
            writeln!(f, "  - {}", text::shown(fault))?;
        }
        match &self.hint {
            Some(hint) => writeln!(f, "next: {}", text::shown(hint)),
            None => Ok(()),
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        if let LoadError::Settings { file, faults } = error {
            return Self {
                faults,
                ..Self::new(format!("{} refuses its settings", file.display())).hint(format!(
                    "`wharfinger plugin inspect {}` shows which settings there are",
                    file.display()
                ))
            };
        }
        let failure = Self::new(error_chain(&error));
        match hint(&error) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// What to do about a component that cannot be used.
fn hint(error: &LoadError) -> Option<&'static str> {
    Some(match error {
        LoadError::Read(_, error) if error.kind() == std::io::ErrorKind::NotFound => {
            "make it with `wharfinger plugin build`"
        }
        LoadError::NotAFile { found: "a folder", .. } => {
            "name the component's file, which `wharfinger plugin build` puts into dist/"
        }
        LoadError::Invalid(_, ComponentFault::NotGranted(_)) => {
            "try it here with --grant, such as --grant '{\"http\": [\"https://HOST/PATH/\"]}'"
        }
        LoadError::Invalid(_, ComponentFault::Damaged(_) | ComponentFault::Empty) => {
            "build or fetch it again: the file is not whole"
        }
        LoadError::Invalid(..) => {
            "`wharfinger plugin new` makes a project that builds such a component"
        }
        LoadError::Call { source: StageError::Timeout(_), .. } => {
            "give it more time with --timeout, or let it do less"
        }
        LoadError::Call { source: StageError::Memory(_), .. } => {
            "give it more memory with --memory, or let it need less"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_to_people_and_to_programs() {
        let mut failure = Failure::new("it broke").hint("mend it");
        assert_eq!(failure.to_string(), "error: it broke\nnext: mend it\n");
        failure.faults = vec!["a".into(), "b".into()];
        assert_eq!(failure.to_string(), "error: it broke\n  - a\n  - b\nnext: mend it\n");
        let error = json!({ "message": "it broke", "hint": "mend it", "faults": ["a", "b"] });
        assert_eq!(failure.json(), json!({ "error": error }));
    }

    #[test]
    fn faults_of_settings_are_listed() {
        let faults = vec!["x: unknown".to_string()];
        let failure =
            Failure::from(LoadError::Settings { file: "a.wasm".into(), faults: faults.clone() });
        assert_eq!(
            (failure.message.as_str(), failure.faults),
            ("a.wasm refuses its settings", faults)
        );
        assert!(failure.hint.is_some_and(|hint| hint.contains("plugin inspect a.wasm")));
    }
}
