//! Checks in detail: `SERVICE_CHECKS` holds a JSON array of Consul's check
//! definitions.
//!
//! Field names are Consul's, in the spelling of its API (`TLSSkipVerify`) or of
//! its configuration files (`tls_skip_verify`). `$SERVICE_IP` and
//! `$SERVICE_PORT` stand for the service's address and port.

use serde_json::{Map, Value};
use wharfinger_plugin::{
    AliasCheck, Attribute, Check, CheckKind, DockerCheck, GrpcCheck, H2PingCheck, HttpCheck,
    Protocol, ScriptCheck, Service, TcpCheck, TtlCheck, UdpCheck,
};

use crate::{
    checks::{DEFAULT_INTERVAL, interpolate, mend_thresholds, parse_status},
    durations, headers, rights,
};

/// What is wrong with a list of definitions, and those that are right.
#[derive(Debug)]
pub(crate) struct Faults {
    pub(crate) list: Vec<String>,
    pub(crate) sound: Vec<Check>,
}

/// Read the definitions for a service. One that is wrong does not cost the
/// others.
pub(crate) fn parse(text: &str, service: &Service) -> Result<Vec<Check>, Faults> {
    let definitions: Vec<Value> = serde_json::from_str(text).map_err(|error| Faults {
        list: vec![format!("not a JSON array of check definitions: {error}")],
        sound: Vec::new(),
    })?;
    let mut faults = Faults { list: Vec::new(), sound: Vec::new() };
    for (index, definition) in definitions.into_iter().enumerate() {
        match Fields::new(definition, service).and_then(Fields::into_check) {
            Ok(check) => faults.sound.push(check),
            Err(fault) => faults.list.push(format!("check {} of the array: {fault}", index + 1)),
        }
    }
    if faults.list.is_empty() { Ok(faults.sound) } else { Err(faults) }
}

/// Whether a check would ask the service itself in a protocol that it does not speak, as where one
/// list is for all ports of a container.
pub(crate) fn is_of_another_protocol(check: &Check, service: &Service) -> bool {
    let (wanted, place) = match &check.kind {
        CheckKind::Http(http) => (Protocol::Tcp, rights::of_url(&http.url)),
        CheckKind::Tcp(tcp) => (Protocol::Tcp, rights::of_address(&tcp.address)),
        CheckKind::Grpc(grpc) => {
            let address = grpc.target.split('/').next().unwrap_or_default();
            (Protocol::Tcp, rights::of_address(address))
        }
        CheckKind::H2Ping(ping) => (Protocol::Tcp, rights::of_address(&ping.address)),
        CheckKind::Udp(udp) => (Protocol::Udp, rights::of_address(&udp.address)),
        _ => return false,
    };
    let own = place.is_some_and(|(host, port)| host == service.address && port == service.port);
    own && wanted != service.protocol
}

/// Hold a field that the contract has no place for against what an agent refuses the whole service
/// for. What no agent knows it does not mind.
fn further(key: &str, value: &Value) -> Result<(), String> {
    let right = match key.replace('_', "").to_lowercase().as_str() {
        "http" | "tcp" | "udp" | "grpc" | "h2ping" | "ttl" | "args" | "scriptargs"
        | "osservice" | "dockercontainerid" => {
            return Err(format!("{key}: a check does one thing, and this is another one"));
        }
        "disableredirects" | "tcpusetls" | "tlsskipverify" | "grpcusetls" | "h2pingusetls" => {
            value.is_boolean()
        }
        "outputmaxsize" => value.as_u64().is_some_and(|size| (1..=1 << 30).contains(&size)),
        "failuresbeforewarning" => value.as_u64().is_some_and(|count| u32::try_from(count).is_ok()),
        "method" | "body" | "shell" | "aliasnode" | "aliasservice" | "tlsservername"
        | "proxyhttp" | "proxygrpc" => value.is_string(),
        "header" => value.is_object(),
        _ => true,
    };
    if right { Ok(()) } else { Err(format!("{key}: {value} is not what Consul reads there")) }
}

/// The fields of one definition that are not used yet.
struct Fields<'a> {
    map: Map<String, Value>,
    service: &'a Service,
}

impl<'a> Fields<'a> {
    fn new(definition: Value, service: &'a Service) -> Result<Self, String> {
        match definition {
            Value::Object(map) => Ok(Self { map, service }),
            other => Err(format!("{other} is not an object")),
        }
    }

    fn into_check(mut self) -> Result<Check, String> {
        let kind = self.kind()?;
        let untimed = matches!(kind, CheckKind::Ttl(_) | CheckKind::Alias(_));
        let interval = self.duration("Interval")?;
        let default = || (!untimed).then(|| DEFAULT_INTERVAL.to_string());
        let id = match self.string("CheckID")? {
            Some(id) => Some(id),
            None => self.string("ID")?,
        };
        let initial_status =
            match self.string("Status")? {
                None => None,
                Some(status) => Some(parse_status(&status).ok_or(format!(
                    "Status: {status:?} is none of passing, warning and critical"
                ))?),
            };
        let mut check = Check {
            id,
            name: self.string("Name")?,
            notes: self.string("Notes")?,
            kind,
            // Consul refuses the service where a time to live has one.
            interval: interval.or_else(default).filter(|_| !untimed),
            timeout: self.duration("Timeout")?,
            initial_status,
            deregister_after: self.duration("DeregisterCriticalServiceAfter")?,
            success_before_passing: self.number("SuccessBeforePassing")?,
            failures_before_critical: self.number("FailuresBeforeCritical")?,
            attributes: Vec::new(),
        };
        for (key, value) in self.map {
            further(&key, &value)?;
            check.attributes.push(Attribute::new(key, value.to_string()));
        }
        match mend_thresholds(&mut check) {
            Some(fault) => Err(format!("FailuresBeforeWarning: {fault}")),
            None => Ok(check),
        }
    }

    fn kind(&mut self) -> Result<CheckKind, String> {
        if let Some(url) = self.string("HTTP")? {
            return Ok(CheckKind::Http(HttpCheck {
                url,
                method: self.string("Method")?,
                headers: self.headers()?,
                body: self.string("Body")?.unwrap_or_default(),
                tls_skip_verify: self.flag("TLSSkipVerify")?,
                tls_server_name: self.string("TLSServerName")?,
            }));
        }
        if let Some(address) = self.string("TCP")? {
            return Ok(CheckKind::Tcp(TcpCheck { address }));
        }
        if let Some(address) = self.string("UDP")? {
            return Ok(CheckKind::Udp(UdpCheck { address }));
        }
        if let Some(target) = self.string("GRPC")? {
            return Ok(CheckKind::Grpc(GrpcCheck {
                target,
                use_tls: self.flag("GRPCUseTLS")?,
                tls_skip_verify: self.flag("TLSSkipVerify")?,
                tls_server_name: self.string("TLSServerName")?,
            }));
        }
        if let Some(address) = self.string("H2PING")? {
            return Ok(CheckKind::H2Ping(H2PingCheck {
                address,
                use_tls: self.switch("H2PingUseTLS")?.unwrap_or(true),
                tls_skip_verify: self.flag("TLSSkipVerify")?,
            }));
        }
        let args = match self.strings("Args")? {
            Some(args) => Some(args),
            None => self.strings("ScriptArgs")?,
        };
        if let Some(container_id) = self.string("DockerContainerID")? {
            return Ok(CheckKind::Docker(DockerCheck {
                container_id,
                shell: self.string("Shell")?,
                args: args.unwrap_or_default(),
            }));
        }
        if let Some(args) = args {
            return Ok(CheckKind::Script(ScriptCheck { args }));
        }
        if let Some(ttl) = self.duration("TTL")? {
            return Ok(CheckKind::Ttl(TtlCheck { ttl }));
        }
        if let Some(name) = self.string("OSService")? {
            return Ok(CheckKind::OsService(name));
        }
        let alias =
            AliasCheck { node: self.string("AliasNode")?, service: self.string("AliasService")? };
        if alias.node.is_some() || alias.service.is_some() {
            return Ok(CheckKind::Alias(alias));
        }
        Err("it has none of HTTP, TCP, UDP, GRPC, H2PING, Args, DockerContainerID, TTL, \
             OSService, AliasNode and AliasService"
            .into())
    }

    /// Take a field in either of Consul's spellings; null is as good as none.
    fn take(&mut self, name: &str) -> Option<Value> {
        let plain = |key: &str| key.replace('_', "").to_lowercase();
        let key = self.map.keys().find(|key| plain(key) == plain(name))?.clone();
        self.map.remove(&key).filter(|value| !value.is_null())
    }

    fn string(&mut self, name: &str) -> Result<Option<String>, String> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value {
            Value::String(text) if text.is_empty() => Ok(None),
            Value::String(text) => Ok(Some(interpolate(&text, self.service))),
            other => Err(format!("{name}: {other} is not a string")),
        }
    }

    fn strings(&mut self, name: &str) -> Result<Option<Vec<String>>, String> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let list: Vec<String> = serde_json::from_value(value)
            .map_err(|error| format!("{name}: not an array of strings: {error}"))?;
        Ok(Some(list.iter().map(|text| interpolate(text, self.service)).collect()))
    }

    fn flag(&mut self, name: &str) -> Result<bool, String> {
        Ok(self.switch(name)?.unwrap_or(false))
    }

    fn switch(&mut self, name: &str) -> Result<Option<bool>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(format!("{name}: {other} is neither true nor false")),
        }
    }

    fn number(&mut self, name: &str) -> Result<Option<u32>, String> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_u64().and_then(|number| number.try_into().ok());
        number.map(Some).ok_or(format!("{name}: {value} is not a number of times"))
    }

    fn duration(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.string(name)? {
            Some(text) if !durations::is_valid(&text) => {
                Err(format!("{name}: {text:?} is not a duration such as 10s"))
            }
            other => Ok(other),
        }
    }

    fn headers(&mut self) -> Result<Vec<Attribute>, String> {
        let Some(value) = self.take("Header") else { return Ok(Vec::new()) };
        // What it says may be a credential.
        let mut list = headers::read(value).ok_or("Header: not an object of lists of strings")?;
        for header in &mut list {
            header.value = interpolate(&header.value, self.service);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        Service::new("h:c:80", "web", "10.0.0.1", 8000)
    }

    fn fault(text: &str) -> String {
        parse(text, &service()).expect_err("the text is wrong").list.join("\n")
    }

    #[test]
    fn every_spelling_of_consul_is_read() {
        let text = r#"[
            {"HTTP": "http://$SERVICE_IP:$SERVICE_PORT/", "Interval": "5s", "TLSSkipVerify": true,
             "Header": {"x-a": ["1", "2"]}, "SuccessBeforePassing": 2, "Shiny": {"New": 1}},
            {"tcp": "localhost:1", "deregister_critical_service_after": "1h30m"},
            {"args": ["/bin/true"], "status": "passing"},
            {"TTL": "30s", "CheckID": "beat", "Interval": "5s"}
        ]"#;
        let checks = parse(text, &service()).expect("all is right");
        let CheckKind::Http(http) = &checks[0].kind else { panic!("{:?}", checks[0]) };
        assert_eq!(http.url, "http://10.0.0.1:8000/");
        assert!(http.tls_skip_verify);
        assert_eq!(http.headers, [Attribute::new("x-a", "1"), Attribute::new("x-a", "2")]);
        assert_eq!(checks[0].attributes, [Attribute::new("Shiny", r#"{"New":1}"#)]);
        assert_eq!(checks[1].deregister_after.as_deref(), Some("1h30m"));
        assert_eq!(checks[1].interval.as_deref(), Some("10s"));
        assert_eq!(checks[3].interval, None);
        assert_eq!(checks[3].id.as_deref(), Some("beat"));
    }

    #[test]
    fn a_fault_names_its_place() {
        assert!(fault("[{]").contains("line 1 column 3"), "{}", fault("[{]"));
        assert!(fault(r#"{"TTL": "1s"}"#).contains("not a JSON array"));
        assert!(fault(r#"[{"TTL": "1s"}, {"HTTP": 7}]"#).starts_with("check 2 of the array: HTTP"));
        assert!(fault(r#"[{"TTL": "soon"}]"#).contains("not a duration"));
        assert!(fault("[{}]").contains("none of HTTP"));
        for definition in [
            r#"{"HTTP": "http://a/", "TTL": "9s"}"#,
            r#"{"TCP": "a:1", "DisableRedirects": "yes"}"#,
            r#"{"TCP": "a:1", "output_max_size": -1}"#,
            r#"{"TCP": "a:1", "FailuresBeforeWarning": "2"}"#,
            r#"{"TCP": "a:1", "FailuresBeforeWarning": 2, "FailuresBeforeCritical": 1}"#,
            r#"{"TCP": "a:1", "TLSServerName": 7}"#,
        ] {
            assert!(fault(&format!("[{definition}]")).starts_with("check 1"), "{definition}");
        }
    }

    #[test]
    fn a_wrong_definition_does_not_cost_the_others() {
        let faults = parse(r#"[{"TTL": "1s"}, {}]"#, &service()).expect_err("one is wrong");
        assert_eq!(faults.sound.len(), 1);
    }
}
