//! What a check has found as JUnit's XML, which CI systems read.

use xml::writer::{EmitterConfig, EventWriter, Result, XmlEvent};

use crate::secrets;

/// A case: the file, a stage or a container, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Case {
    class: &'static str,
    name: String,
    faults: Vec<String>,
}

impl Case {
    pub(super) fn new(
        class: &'static str,
        name: &str,
        faults: impl IntoIterator<Item = String>,
    ) -> Self {
        Self { class, name: name.into(), faults: faults.into_iter().collect() }
    }
}

/// The document for these cases.
pub(super) fn document(cases: &[Case]) -> String {
    let mut bytes = Vec::new();
    let config = EmitterConfig::new().perform_indent(true).pad_self_closing(false);
    write(&mut config.create_writer(&mut bytes), cases)
        .expect("writing to memory does not fail, and the elements are nested as they are");
    String::from_utf8_lossy(&bytes).into_owned() + "\n"
}

fn write(out: &mut EventWriter<&mut Vec<u8>>, cases: &[Case]) -> Result<()> {
    let all = cases.len().to_string();
    let failed = cases.iter().filter(|case| !case.faults.is_empty()).count().to_string();
    for element in ["testsuites", "testsuite"] {
        out.write(
            XmlEvent::start_element(element)
                .attr("name", "wharfinger check")
                .attr("tests", &all)
                .attr("failures", &failed)
                .attr("errors", "0"),
        )?;
    }
    for Case { class, name, faults } in cases {
        let name = plain(name);
        let start = XmlEvent::start_element("testcase").attr("name", &name);
        out.write(start.attr("classname", class))?;
        if let Some(first) = faults.first() {
            let (message, text) = (plain(first), plain(&faults.join("\n")));
            out.write(XmlEvent::start_element("failure").attr("message", &message))?;
            out.write(XmlEvent::characters(&text))?;
            out.write(XmlEvent::end_element())?;
        }
        out.write(XmlEvent::end_element())?;
    }
    out.write(XmlEvent::end_element())?;
    out.write(XmlEvent::end_element())
}

/// A text without secrets, and without the characters that XML cannot hold.
fn plain(text: &str) -> String {
    let unfit = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    secrets::text(text).replace(unfit, "\u{fffd}")
}
