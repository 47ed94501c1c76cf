//! What every stage should keep, whatever it is for.

use std::fmt::Display;

use super::{Answer, Sample, answer, samples};
use crate::Stage;

/// Hold a stage to three laws, over [`samples`]: asked twice it answers the
/// same; what it makes has a name, and no tag is blank; and asked about what it
/// has made, it changes nothing, vetoes nothing and adds nothing. Returns how
/// many answers changed or vetoed something.
///
/// # Panics
///
/// A law is broken; the message has the container.
pub fn laws<S: Stage>(settings: impl Display) -> usize {
    let settings = settings.to_string();
    samples().iter().filter(|sample| acted::<S>(&settings, sample)).count()
}

fn acted<S: Stage>(settings: &str, sample: &Sample) -> bool {
    let ask = |services| -> Answer {
        answer::<S>(settings, &sample.container, &sample.host, services)
            .unwrap_or_else(|error| panic!("{settings}: {error}, of {sample:#?}"))
    };
    let first = ask(sample.services.clone());
    let again = ask(sample.services.clone());
    assert_eq!(first, again, "{settings}: two answers of {sample:#?}");

    for service in &first.services {
        let blank = |text: &String| text.trim().is_empty();
        assert!(!blank(&service.name), "{settings}: no name of {sample:#?}");
        assert!(!service.tags.iter().any(blank), "{settings}: a blank tag of {sample:#?}");
    }
    let second = ask(first.services.clone());
    assert_eq!(second.services, first.services, "{settings}: a second time, of {sample:#?}");
    assert_eq!(second.vetoes, [], "{settings}: a second time, of {sample:#?}");
    first.services != sample.services
}
