//! Foretells a policy for a client: the steps of taking it over, up to the last.

use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::oneshot;

use super::{Reload, trial::Trial};
use crate::{
    daemon::hosting::Hosting,
    policy::hosted::Hosted,
    reconcile::{Beyond, Held},
    stages::loader::Loaded,
};

/// A policy of which somebody asks what it would do.
pub struct Ask {
    /// The bundle, which was verified and may follow what is in force.
    pub hosted: Arc<Hosted>,
    /// The folder with its components, which goes with the question.
    pub files: TempDir,
    /// Takes the forecast, or the reason why there is none.
    pub answer: oneshot::Sender<Result<Foreseen, String>>,
}

/// The forecast of a policy.
#[derive(Debug, Default)]
pub struct Foreseen {
    /// The reason why it would be refused.
    pub refused: Option<String>,
    /// The services that the guard would hold.
    pub held: Option<Held>,
    /// The changes it would make, if they could be told.
    pub beyond: Option<Beyond>,
}

impl Reload {
    /// Foretell a policy; nothing comes into force.
    pub(super) async fn foresee(&mut self, ask: Ask) {
        let Ask { hosted, files, mut answer } = ask;
        // Whoever has gone needs no answer. What was compiled by then is there the next time.
        let foreseen = tokio::select! {
            biased;
            () = answer.closed() => return,
            foreseen = self.foreseen(hosted) => foreseen,
        };
        drop(files);
        let _ = answer.send(foreseen);
    }

    async fn foreseen(&mut self, hosted: Arc<Hosted>) -> Result<Foreseen, String> {
        let refused = |words| Foreseen { refused: Some(words), ..Foreseen::default() };
        let layered = hosted.over(&self.config);
        let pipeline = match self.loaded(&Hosting::Below(hosted, None), &layered).await {
            Ok(Loaded { pipeline, .. }) => pipeline,
            Err(words) => return Ok(refused(words)),
        };
        let trial = match Trial::of(&self.handle, &pipeline, true).await {
            Ok(trial) => trial,
            Err(error) => return Ok(refused(error.to_string())),
        };
        let judged = trial.judged(true, self.config.guard.failing);
        Ok(Foreseen {
            refused: judged.err().map(|error| error.to_string()),
            held: trial.held().cloned(),
            beyond: Some(trial.beyond()),
        })
    }
}
