//! The recorded cases in which registrator loses or takes too much, and what is
//! right instead. It is the only list of exceptions, of the replay and of the run
//! on real servers alike.

/// A recorded case in which registrator's outcome is wrong.
pub struct Loss {
    pub case: &'static str,
    /// Whether the daemon writes its marks. Without them it does not know after
    /// a crash what is its own, no more than registrator does.
    pub marks: bool,
    pub reason: &'static str,
    /// How the writes differ from the recorded ones: the phase, counted from 0,
    /// and a write that is made in addition (`+`) or not made (`-`).
    pub differences: &'static [(usize, &'static str)],
    /// The right IDs before the last container is removed, and after.
    pub before_end: &'static [&'static str],
    pub after_end: &'static [&'static str],
}

const FOREIGN: &str = "an entry without this host's address is not registrator's, whatever its ID";
const FAILED: &str = "a container that failed keeps its services until it is removed, not for ever";
const CRASHED: &str = "the marks tell after a crash which services lost their container";

pub const LOSSES: [Loss; 10] = [
    Loss {
        case: "cleanup-foreign",
        marks: false,
        reason: FOREIGN,
        differences: &[(6, "-deregister testhost:byhand:80")],
        before_end: &[
            "manual",
            "otherhost:x:80",
            "testhost:a:80",
            "testhost:app:80",
            "testhost:byhand:80",
            "testhost:sctpx:80:sctp",
        ],
        after_end: &[
            "manual",
            "otherhost:x:80",
            "testhost:a:80",
            "testhost:byhand:80",
            "testhost:sctpx:80:sctp",
        ],
    },
    Loss {
        case: "cleanup-renamed-service",
        marks: false,
        reason: FOREIGN,
        differences: &[(2, "-deregister testhost:app:81")],
        before_end: &["testhost:app:80", "testhost:app:81"],
        after_end: &["testhost:app:81"],
    },
    Loss {
        case: "cleanup-resync",
        marks: false,
        reason: FOREIGN,
        differences: &[(3, "-deregister testhost:gone:80")],
        before_end: &["testhost:app:80", "testhost:gone:80"],
        after_end: &["testhost:gone:80"],
    },
    Loss {
        case: "crash-stale",
        marks: true,
        reason: CRASHED,
        differences: &[(4, "+deregister testhost:app:80")],
        before_end: &[],
        after_end: &[],
    },
    Loss {
        case: "crash-stale-cleanup-customid",
        marks: true,
        reason: CRASHED,
        differences: &[(4, "+deregister custom-1")],
        before_end: &[],
        after_end: &[],
    },
    Loss {
        case: "dereg-exit-1",
        marks: false,
        reason: FAILED,
        differences: &[(2, "+deregister testhost:app:80")],
        before_end: &["testhost:app:80"],
        after_end: &[],
    },
    Loss {
        case: "dereg-exit-125",
        marks: false,
        reason: FAILED,
        differences: &[(2, "+deregister testhost:app:80")],
        before_end: &["testhost:app:80"],
        after_end: &[],
    },
    Loss {
        case: "dereg-exit-1-then-rm",
        marks: false,
        reason: FAILED,
        differences: &[(2, "+deregister testhost:app:80")],
        before_end: &[],
        after_end: &[],
    },
    Loss {
        case: "dereg-rm-auto-1",
        marks: false,
        reason: FAILED,
        differences: &[(1, "+deregister testhost:app:80")],
        before_end: &[],
        after_end: &[],
    },
    Loss {
        case: "resync-partial",
        marks: false,
        reason: "a port that Consul refused is tried again, though another was accepted",
        differences: &[(1, "+register testhost:app:80")],
        before_end: &["testhost:app:443"],
        after_end: &[],
    },
];

/// What is right instead of a recorded case, if registrator got it wrong.
pub fn loss(case: &str) -> Option<&'static Loss> {
    static ALL: &[Loss] = &LOSSES;
    ALL.iter().find(|loss| loss.case == case)
}
