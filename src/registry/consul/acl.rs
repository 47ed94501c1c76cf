//! The token's permissions, asked for before anything is done.
//!
//! The question is the one that Consul's own user interface asks. An agent that
//! does not know it gives no answer, and then nothing is known.

use std::collections::BTreeSet;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Call, Consul, json};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    segment: String,
    allow: bool,
}

impl Consul {
    /// Those of these services' names that the token is known not to be allowed to
    /// write.
    pub(super) async fn not_writable(&self, names: &BTreeSet<String>) -> BTreeSet<String> {
        self.asked(names).await.unwrap_or_default()
    }

    async fn asked(&self, names: &BTreeSet<String>) -> Option<BTreeSet<String>> {
        if names.is_empty() {
            return None;
        }
        let question = |name| json!({ "Resource": "service", "Access": "write", "Segment": name });
        let questions: Vec<_> = names.iter().map(question).collect();
        let call = Call { attempt: "ask for permissions", subject: "", permission: "" };
        let path = ["v1", "internal", "acl", "authorize"];
        let request = self.request(call, Method::POST, &path, &[]).ok()?.json(&questions);
        let response = self.send(call, request).await.ok()?;
        let answers: Vec<Answer> = json(call, response).await.ok()?;
        let denied = answers.into_iter().filter(|answer| !answer.allow);
        Some(denied.map(|answer| answer.segment).collect())
    }
}
