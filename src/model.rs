//! The values that everything else is about. They do no I/O, and use nothing that is above them.

pub mod container;
pub mod few;
pub mod host;
pub mod layer;
pub mod marks;
pub mod registered;
pub mod service;
pub mod setup;
pub mod summary;
pub mod timed;
