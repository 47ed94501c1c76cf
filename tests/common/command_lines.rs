//! The recorded command lines of registrator, on the daemon.

use std::process::Command;

use serde_json::Value;

use super::corpus::Case;
use super::daemon::Daemon;
use super::http::Activity;
use super::recording_consul::RecordingConsul;

/// What differs: the exit code, or lines that say what is wrong. What Go's own
/// error texts say, and the usage, are ours; and we do not say that we listen to
/// Docker before we have reached it.
pub async fn faults(case: &Case) -> Vec<String> {
    let consul = RecordingConsul::start(Activity::default(), Vec::new()).await;
    let uri = consul.uri();
    let address = uri.strip_prefix("consul://").expect("a URI of Consul");
    let texts = |list: &Value| -> Vec<String> {
        let texts = list.as_array().into_iter().flatten().flat_map(Value::as_str);
        texts.map(|text| text.replace("127.0.0.1:8501", address)).collect()
    };
    let registrator = &case.value["registrator"];
    let mut command = Command::new(Daemon::binary());
    command.args(["--compat", "registrator"]).args(texts(&registrator["argv"]));
    for (name, value) in registrator["env"].as_object().into_iter().flatten() {
        command.env(name, value.as_str().unwrap_or_default());
    }
    let output = command.output().expect("the program can be started");
    let expected = &case.value["expected"];
    let stderr = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code().map(i64::from);
    let mut faults = Vec::new();
    if code != expected["exit_code"].as_i64() {
        faults.push(format!("{}: it ended with {code:?}: {stderr}", case.name));
    }
    let ours = ["Starting registrator", "consul: current leader", "Listening for", "Get \""];
    let lines = texts(&expected["stderr"]);
    let said = lines
        .iter()
        .take_while(|line| !line.starts_with("Usage of"))
        .filter(|line| !ours.iter().any(|start| line.starts_with(start)));
    for line in said.filter(|line| !stderr.contains(line.as_str())) {
        faults.push(format!("{}: {line:?} is not in {stderr}", case.name));
    }
    faults
}
