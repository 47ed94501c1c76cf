//! What time it is, by `wasi:clocks`: the epoch where the stage is not granted the clock.

/// The time in seconds since 1970.
#[cfg(target_family = "wasm")]
pub fn now() -> u64 {
    bindings::wasi::clocks::wall_clock::now().seconds
}

/// The time in seconds since 1970.
#[cfg(not(target_family = "wasm"))]
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(target_family = "wasm")]
#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package wharfinger:exceptions;

            world clock {
                import wasi:clocks/wall-clock@0.2.0;
            }

            package wasi:clocks@0.2.0 {
                interface wall-clock {
                    record datetime { seconds: u64, nanoseconds: u32 }
                    now: func() -> datetime;
                }
            }
        ",
        world: "wharfinger:exceptions/clock",
        generate_all,
    });
}
