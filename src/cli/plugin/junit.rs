//! The outcome of cases as JUnit's XML, which CI systems read.

use std::time::Duration;

use xml::writer::{EmitterConfig, EventWriter, Result, XmlEvent};

use super::cases::{Tried, Verdict};

/// The document for the cases of a plugin.
pub(super) fn document(plugin: &str, tried: &[Tried]) -> String {
    let mut bytes = Vec::new();
    let config = EmitterConfig::new().perform_indent(true).pad_self_closing(false);
    write(&mut config.create_writer(&mut bytes), plugin, tried)
        .expect("writing to memory does not fail, and the elements are nested as they are");
    String::from_utf8_lossy(&bytes).into_owned() + "\n"
}

fn write(out: &mut EventWriter<&mut Vec<u8>>, plugin: &str, tried: &[Tried]) -> Result<()> {
    let count = |wanted: fn(&Verdict) -> bool| {
        tried.iter().filter(|one| wanted(&one.verdict)).count().to_string()
    };
    let broken = count(|verdict| matches!(verdict, Verdict::Broken(_)));
    let failed = count(|verdict| !verdict.is_good() && !matches!(verdict, Verdict::Broken(_)));
    let (all, whole) =
        (tried.len().to_string(), seconds(tried.iter().filter_map(|t| t.time).sum()));
    let plugin = plain(plugin);
    for element in ["testsuites", "testsuite"] {
        out.write(
            XmlEvent::start_element(element)
                .attr("name", &plugin)
                .attr("tests", &all)
                .attr("failures", &failed)
                .attr("errors", &broken)
                .attr("time", &whole),
        )?;
    }
    for one in tried {
        test_case(out, &plugin, one)?;
    }
    out.write(XmlEvent::end_element())?;
    out.write(XmlEvent::end_element())
}

fn test_case(out: &mut EventWriter<&mut Vec<u8>>, plugin: &str, tried: &Tried) -> Result<()> {
    let (name, time) = (plain(&tried.name), seconds(tried.time.unwrap_or_default()));
    out.write(
        XmlEvent::start_element("testcase")
            .attr("name", &name)
            .attr("classname", plugin)
            .attr("time", &time),
    )?;
    let (element, kind, message, text) = match &tried.verdict {
        Verdict::Passed | Verdict::Updated => return out.write(XmlEvent::end_element()),
        Verdict::Differs(differences) => {
            let texts: Vec<_> = differences.iter().map(ToString::to_string).collect();
            let message = format!("{} not as expected", differences[0].path);
            ("failure", "differs", message, texts.join("\n"))
        }
        Verdict::Unsettled(changes) => {
            let message = "the stage changes its own work when it is asked again".into();
            ("failure", "unsettled", message, changes.join("\n"))
        }
        Verdict::Unrecorded => {
            ("failure", "unrecorded", "there is no expected.json".into(), String::new())
        }
        Verdict::Broken(fault) => ("error", "broken", fault.clone(), String::new()),
    };
    let (message, text) = (plain(&message), plain(&text));
    out.write(XmlEvent::start_element(element).attr("type", kind).attr("message", &message))?;
    out.write(XmlEvent::characters(&text))?;
    out.write(XmlEvent::end_element())?;
    out.write(XmlEvent::end_element())
}

fn seconds(time: Duration) -> String {
    format!("{:.6}", time.as_secs_f64())
}

/// A text without the characters that XML cannot hold.
fn plain(text: &str) -> String {
    let unfit = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    text.replace(unfit, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use bytesize::ByteSize;
    use serde_json::json;
    use xml::reader::{EventReader, XmlEvent as Read};

    use super::*;
    use crate::cli::plugin::compare::Difference;

    #[test]
    fn a_reader_finds_every_case_with_its_fault() {
        let tried = |name: &str, verdict| Tried {
            name: name.into(),
            verdict,
            time: Some(Duration::from_micros(1500)),
            memory: ByteSize(0),
        };
        let difference = Difference {
            path: "services[\"a\"].Name".into(),
            expected: Some(json!("<x>")),
            found: Some(json!("a & \u{1}b")),
        };
        let xml = document(
            "team-naming",
            &[
                tried("good", Verdict::Passed),
                tried("new", Verdict::Updated),
                tried("other", Verdict::Differs(vec![difference])),
                tried("none", Verdict::Unrecorded),
                tried("again", Verdict::Unsettled(vec!["name differs each time".into()])),
                tried("bad\u{0}", Verdict::Broken("no container".into())),
            ],
        );
        let mut seen = Vec::new();
        for event in EventReader::new(xml.as_bytes()) {
            if let Read::StartElement { name, attributes, .. } = event.expect("it is XML") {
                let value = |key: &str| {
                    let found = attributes.iter().find(|a| a.name.local_name == key);
                    found.map(|a| a.value.clone()).unwrap_or_default()
                };
                let what = value("name") + &value("type");
                seen.push(format!("{} {what} {}", name.local_name, value("failures")));
            }
        }
        assert_eq!(
            seen,
            [
                "testsuites team-naming 3",
                "testsuite team-naming 3",
                "testcase good ",
                "testcase new ",
                "testcase other ",
                "failure differs ",
                "testcase none ",
                "failure unrecorded ",
                "testcase again ",
                "failure unsettled ",
                "testcase bad\u{fffd} ",
                "error broken ",
            ]
        );
        assert!(xml.contains("errors=\"1\"") && xml.contains("time=\"0.009000\""), "{xml}");
    }
}
