//! The plugin host: from a file to a stage of the pipeline that can do no
//! harm. WebAssembly is known here and nowhere else.
//!
//! A component is compiled once per content, linked once, and instantiated
//! afresh for each call, with a deadline and a memory limit. Guest code runs on
//! threads of its own, never on those that talk to Docker and Consul, and only
//! so many calls run at once.

mod component;
mod engine;
mod guest;
mod imports;
mod v0_1_0;
mod wasi;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytesize::ByteSize;
use globset::GlobSet;
use sha2::{Digest as _, Sha256};
use tokio::{runtime, sync::Semaphore};

use crate::pipeline::{Message, StageError};
use engine::Engine;

pub use component::ComponentStage;
pub use imports::{ComponentFault, InvalidComponent};

/// How much a stage may use in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The time from the first instruction to the answer.
    pub timeout: Duration,
    /// All linear memories and tables of the instance together.
    pub memory: ByteSize,
}

/// What the operator says of a component.
#[derive(Debug, Clone)]
pub struct ComponentSpec {
    /// The stage's name.
    pub name: String,
    /// The component's file.
    pub file: PathBuf,
    /// The settings in JSON.
    pub settings: String,
    /// What a call may use.
    pub limits: Limits,
    /// The environment variables that the stage may see.
    pub visible_env: GlobSet,
}

/// Why a component is not used as a stage.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// The file is no component of the contract, or imports what it is not
    /// granted.
    #[error("{}", .0.display())]
    Invalid(PathBuf, #[source] InvalidComponent),
    /// The component cannot be compiled.
    #[error("cannot compile {}: {reason}", .file.display())]
    Compile {
        /// The file.
        file: PathBuf,
        /// What the compiler says.
        reason: String,
    },
    /// The component does not fit the contract.
    #[error("cannot link {}: {reason}", .file.display())]
    Link {
        /// The file.
        file: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The component failed when it was asked to describe itself or to
    /// validate its settings.
    #[error("{} failed in {function}", .file.display())]
    Call {
        /// The file.
        file: PathBuf,
        /// The function of the contract.
        function: &'static str,
        /// What happened.
        source: StageError,
    },
    /// The stage refuses its settings.
    #[error("settings: {}", .0.join("; "))]
    Settings(Vec<String>),
}

/// What a component says of itself, and what the host knows of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name that the component gives itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
}

/// The answer of a call into a guest, and what the guest wrote to the log.
struct GuestCall<T> {
    result: Result<T, StageError>,
    messages: Vec<Message>,
}

/// Runs components. Dropping it ends its threads; calls that run are abandoned.
pub struct PluginHost {
    engine: Engine,
    /// Compiled components by the digest of their files.
    compiled: Mutex<HashMap<String, wasmtime::component::Component>>,
    permits: Arc<Semaphore>,
    /// The guests' own threads; there until the host is dropped.
    runtime: Option<runtime::Runtime>,
}

impl PluginHost {
    /// A host that runs up to `concurrency` calls at once, none of which may
    /// use more memory than `largest`.
    ///
    /// # Errors
    ///
    /// The machine cannot run WebAssembly, or a thread cannot be started.
    pub fn new(concurrency: usize, largest: ByteSize) -> Result<Self, String> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(concurrency);
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("guest")
            .enable_time()
            .build()
            .map_err(|error| format!("cannot start the guests' threads: {error}"))?;
        Ok(Self {
            engine: Engine::new(concurrency, largest)?,
            compiled: Mutex::default(),
            permits: Arc::new(Semaphore::new(concurrency)),
            runtime: Some(runtime),
        })
    }

    /// Make a stage of a component: read it, compare its imports with what is
    /// granted, compile and link it, ask it what it is, and let it validate its
    /// settings.
    ///
    /// # Errors
    ///
    /// See [`LoadError`]. Nothing of the component stays in the host then but
    /// its compiled code.
    pub async fn load(self: &Arc<Self>, spec: ComponentSpec) -> Result<ComponentStage, LoadError> {
        let bytes =
            std::fs::read(&spec.file).map_err(|error| LoadError::Read(spec.file.clone(), error))?;
        let imports = imports::inspect(&bytes)
            .map_err(|error| LoadError::Invalid(spec.file.clone(), error))?;
        let digest = hex(&Sha256::digest(&bytes));
        let component = self.compile(&spec.file, &digest, bytes).await?;
        ComponentStage::link(self, &component, imports, digest, spec).await
    }

    async fn compile(
        self: &Arc<Self>,
        file: &Path,
        digest: &str,
        bytes: Vec<u8>,
    ) -> Result<wasmtime::component::Component, LoadError> {
        let known =
            |compiled: &HashMap<_, wasmtime::component::Component>| compiled.get(digest).cloned();
        if let Some(component) = known(&self.lock()) {
            return Ok(component);
        }
        let engine = self.engine.wasmtime().clone();
        let failed = |reason| LoadError::Compile { file: file.to_path_buf(), reason };
        let component = self
            .runtime()
            .spawn_blocking(move || wasmtime::component::Component::new(&engine, bytes))
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(format!("{error:#}")))?;
        self.lock().insert(digest.to_string(), component.clone());
        Ok(component)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, wasmtime::component::Component>> {
        // The map is whole at any moment; a panic elsewhere does not spoil it.
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runtime(&self) -> &runtime::Runtime {
        self.runtime.as_ref().expect("the runtime is only taken when the host is dropped")
    }
}

impl Drop for PluginHost {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting is not possible here: this may be an async task.
            runtime.shutdown_background();
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
