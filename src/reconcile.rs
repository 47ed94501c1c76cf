//! The control loop: keeps the registry true to the running containers.
//!
//! It is level-triggered. An event, a resync and a retry all say the same: look
//! at this container again. Looking at a container means to inspect it, run it
//! through the pipeline, note what it offers, plan the difference to what is
//! registered, and carry the plan out. Looking twice changes nothing.
//!
//! Its guarantee: only services that carry this host's mark, or that this
//! process registered, are deregistered, and only when their container has
//! ended, is gone, or no longer offers them by the pipeline's word; and, by the
//! operator's word, what registrator left behind on this host. While Docker or the registry cannot be
//! read, or a stage fails, a container keeps what it has. At any moment the
//! process may be killed; the next one finds its bearings by the marks.

mod absence;
mod cycle;
mod decision;
mod difference;
mod drive;
mod job;
mod lifecycle;
mod options;
mod rehearse;
mod retire;
mod seen;
mod state;
mod surroundings;
mod view;
mod way;

#[cfg(test)]
mod kept;
#[cfg(test)]
mod sim;

pub use crate::model::marks::{
    META_CONTAINER, META_DIGEST, META_ENGINE, META_HOST, META_RETIRE, Provenance,
};
pub use absence::{Absence, AbsenceKind};
pub use decision::{
    Candidate, Decision, Decisions, Effect, EffectKind, StageDecision, Subject, Told, WriteTold,
};
pub use drive::{Handle, Reconciler, Stopped};
pub use lifecycle::{DrainBy, Healthcheck, Lifecycle, OnExit, Rename};
pub use options::{Deregister, Options};
pub use rehearse::{
    Becomes, Beyond, Brief, Forecast, ForecastContainer, ForecastError, ForecastWrite, Hint,
    Rehearsal, What, WriteKind,
};
pub use seen::{Load, Seen};
pub use state::{
    guard::{GuardLimits, Held},
    history::{Change, ChangeKind},
    meters::{Answered, COMMIT_BOUNDS, Commits, Counts, Operation, Reloaded},
    overview::{Became, Connection, Overview, Trouble, TroubleKind},
    plan::{Action, Conflict, Plan, Reason, Removal, Successor},
    roster::{Row, Vetoed},
};
pub use surroundings::{Unknown, surroundings};
pub use view::{Explained, Explainer, Explanation, Meant, Standing};
pub use way::{Part, PartKind, Way, Ways};
