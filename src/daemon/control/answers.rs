//! The answer to each request.

use std::time::SystemTime;

use serde_json::Value;

use super::{Answer, Facts, Request, Status};
use crate::{
    error::error_chain,
    reconcile::{Change, Forecast, Handle, Meant, Stopped},
    render,
    text::without_secrets,
};

pub(super) async fn answer(request: Request, handle: &Handle, facts: &Facts) -> Answer {
    let answer = match request {
        Request::Held => handle.held().await.map(Answer::Held),
        Request::Confirm => handle.confirm().await.map(Answer::Held),
        Request::Status => status(handle, facts).await.map(Answer::Status),
        Request::Explain(what) => return explain(&what, handle).await,
        Request::History { what, since } => {
            let history = handle.history().await;
            history.map(|changes| Answer::History(told(changes, what.as_deref(), since)))
        }
        Request::Plan { uri, .. } if uri.as_ref().is_some_and(|uri| !facts.is_at(uri)) => {
            return Answer::OtherRegistry(facts.uri.clone());
        }
        Request::Plan { all, width, .. } => return planned(handle, facts, all, width).await,
        Request::ShowHeld(width) => {
            return foreseen(handle, |foreseen| render::held(foreseen).render(width)).await;
        }
        Request::ShowMonitored(width) => {
            return foreseen(handle, |foreseen| render::monitored(foreseen).render(width)).await;
        }
    };
    answer.unwrap_or_else(|error| Answer::Error(error.to_string()))
}

async fn status(handle: &Handle, facts: &Facts) -> Result<Status, Stopped> {
    Ok(Status::of(&handle.seen().await?, facts))
}

async fn explain(what: &str, handle: &Handle) -> Answer {
    match explained(what, handle).await {
        Ok(Meant::Nothing) => Answer::Explained(Vec::new()),
        Ok(Meant::These(all)) => Answer::Explained(all),
        Ok(Meant::Several(words)) => Answer::Several(words),
        Err(words) => Answer::Error(words),
    }
}

/// Why the services of what is meant are what they are.
pub(in crate::daemon) async fn explained(what: &str, handle: &Handle) -> Result<Meant, String> {
    let explainer = handle.explainer().await.map_err(|error| error.to_string())?;
    let all = explainer.explain(what).await?;
    if !all.is_empty() {
        return Ok(Meant::These(all));
    }
    // A container that is gone by now is meant rather than one that begins like it.
    let history = handle.history().await.unwrap_or_default();
    let is_it = |change: &Change| {
        let names = [&*change.name, &*change.container.0].into_iter();
        names.chain(change.service.as_deref()).any(|name| name == what)
    };
    if history.iter().any(is_it) {
        return Ok(Meant::Nothing);
    }
    explainer.beginning(what).await
}

/// The plan that the daemon would carry out now.
async fn planned(handle: &Handle, facts: &Facts, all: bool, width: usize) -> Answer {
    let shown = foretold(handle, facts, |plan, forecast| {
        let json = plan.json(forecast).map_err(|error| error.to_string())?;
        let (text, code) = (plan.text(forecast, all, width), plan.code(forecast));
        Ok(Answer::Planned { json, text, code })
    });
    shown.await.unwrap_or_else(Answer::Error)
}

/// The same for programs.
pub(in crate::daemon) async fn planned_json(
    handle: &Handle,
    facts: &Facts,
) -> Result<Value, String> {
    let json = |plan: &render::Plan<'_>, forecast: &Forecast| {
        plan.json(forecast).map_err(|error| error.to_string())
    };
    foretold(handle, facts, json).await
}

async fn foretold<T>(
    handle: &Handle,
    facts: &Facts,
    show: impl FnOnce(&render::Plan<'_>, &Forecast) -> Result<T, String>,
) -> Result<T, String> {
    let stopped = |error: Stopped| error.to_string();
    let rehearsal = handle.rehearsal().await.map_err(stopped)?;
    let pipeline = handle.pipeline().await.map_err(stopped)?;
    let forecast = rehearsal.forecast().await.map_err(|error| error_chain(&error))?;
    let (stages, pid) = (pipeline.notes(), std::process::id());
    let against =
        format!("{}, by the daemon that runs (process {pid})", without_secrets(&facts.uri));
    let plan = render::Plan { host: &facts.host, against: &against, stages: &stages };
    show(&plan, &forecast)
}

/// The text that `show` makes of the loop's forecast from now on.
async fn foreseen(handle: &Handle, show: impl Fn(&Forecast) -> String) -> Answer {
    let rehearsal = match handle.rehearsal().await {
        Ok(rehearsal) => rehearsal,
        Err(error) => return Answer::Error(error.to_string()),
    };
    match rehearsal.forecast().await {
        Ok(forecast) => Answer::Shown(show(&forecast)),
        Err(error) => Answer::Error(error_chain(&error)),
    }
}

/// The changes that are asked for.
pub(in crate::daemon) fn told(
    changes: Vec<Change>,
    what: Option<&str>,
    since: Option<SystemTime>,
) -> Vec<Change> {
    let is_meant = |change: &Change| {
        what.is_none_or(|what| {
            change.name == what
                || change.service.as_deref() == Some(what)
                || (what.len() >= 6 && change.container.0.starts_with(what))
        })
    };
    let is_new = |change: &Change| since.is_none_or(|since| change.at >= since);
    changes.into_iter().filter(|change| is_meant(change) && is_new(change)).collect()
}
