//! `wharfinger apply`: see, and with `--confirm` carry out, what the bulk guard of
//! the running daemon holds.

use std::fmt::Write as _;

use clap::Args;

use super::{SocketArgs, output::width};
use crate::{
    daemon::control::{self, Answer, ControlError, Request},
    reconcile::Held,
    text,
};

/// The flags of `apply`.
#[derive(Debug, Clone, Args)]
pub struct ApplyArgs {
    /// Carry out what is held. Without it, it is only shown.
    #[arg(long)]
    pub confirm: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub socket: SocketArgs,
}

/// What is held, or was until it was confirmed, as text for the standard output;
/// and whether something still is.
///
/// # Errors
///
/// No daemon listens, or it does not answer.
pub async fn apply(args: &ApplyArgs) -> Result<(String, bool), ControlError> {
    let request = if args.confirm { Request::Confirm } else { Request::Held };
    let held = match control::ask(args.socket.place().as_deref(), &request).await? {
        Answer::Held(held) => held,
        other => return Err(other.unexpected()),
    };
    let Some(held) = held else { return Ok(("Nothing is held.\n".into(), false)) };
    let printed = match args.confirm {
        true => format!("Confirmed: {}.\n", text::shown(&held.to_string())),
        false => {
            format!("{}To carry it out: wharfinger apply --confirm\n", show(args, &held).await)
        }
    };
    Ok((printed, !args.confirm))
}

/// The tree of what is held; the IDs alone where the daemon cannot foresee it now.
async fn show(args: &ApplyArgs, held: &Held) -> String {
    let shown = control::ask(args.socket.place().as_deref(), &Request::ShowHeld(width())).await;
    if let Ok(Answer::Shown(tree)) = shown {
        return tree;
    }
    let mut text = format!("Held: {}\n", text::shown(&held.to_string()));
    for service in &held.services {
        let _ = writeln!(text, "  - {}", text::shown(&service.to_string()));
    }
    text
}
