//! Messages of a stage. The daemon writes them to its own log, with the name
//! of the stage and of the container.

pub use crate::glue::bindings::wharfinger::pipeline::logging::Level;

/// Write one message.
pub fn log(level: Level, message: impl Into<String>) {
    deliver(level, message.into());
}

/// Write a message that something was mended or left out.
pub fn warn(message: impl Into<String>) {
    log(Level::Warn, message);
}

/// Write a message that says what happened.
pub fn info(message: impl Into<String>) {
    log(Level::Info, message);
}

#[cfg(target_family = "wasm")]
fn deliver(level: Level, message: String) {
    crate::glue::bindings::wharfinger::pipeline::logging::log(level, &message);
}

#[cfg(not(target_family = "wasm"))]
fn deliver(level: Level, message: String) {
    crate::native::capture(level, message);
}

/// Send the message of a panic to the log before the instance traps. Without
/// this, only the trap itself would be seen.
pub(crate) fn install_panic_hook() {
    #[cfg(target_family = "wasm")]
    {
        static INSTALLED: std::sync::Once = std::sync::Once::new();
        INSTALLED.call_once(|| {
            std::panic::set_hook(Box::new(|panic| log(Level::Error, panic.to_string())));
        });
    }
}
