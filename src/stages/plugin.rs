//! The plugin host: from a file to a stage of the pipeline that can do no
//! harm. WebAssembly is known here and nowhere else.
//!
//! A component is compiled once per content, linked once, and instantiated
//! afresh for each call, with a deadline and a memory limit. Guest code runs on
//! threads of its own, never on those that talk to Docker and Consul, and only
//! so many calls run at once.

mod adapter;
mod allowance;
mod artifact;
mod cache;
mod clock;
mod compile;
mod component;
mod engine;
mod exceeded;
mod failure;
mod fault;
mod file;
mod grants;
mod guest;
mod http;
mod imports;
mod kv;
mod limits;
mod link;
mod outline;
mod said;
mod share;
mod stats;
mod v0_1_0;
mod v0_2_0;
mod version;
mod versions;
mod wasi;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytesize::ByteSize;
use sha2::{Digest as _, Sha256};
use tokio::{runtime, sync::Semaphore};
use tracing::warn;
use wasmtime::component::Component;

use crate::{
    pipeline::{Message, StageError, Wants},
    telemetry::event,
    text,
};
use engine::Engine;
use stats::Figures;

pub use crate::pipeline::{Stats, Times};
pub use cache::{Cache, CacheError};
pub use compile::{COMMAND as COMPILE_COMMAND, Compiler, compile_child};
pub use component::ComponentStage;
pub use grants::{Capability, Grants, KvPrefix, Origin};
pub use imports::{ComponentFault, Refused};
pub use kv::KvReader;
pub use limits::Limits;
pub(crate) use limits::{Written, every_limit, outside};
pub use outline::{Import, Meaning, Outline};

/// The operator's configuration of a component.
#[derive(Debug, Clone)]
pub struct ComponentSpec {
    /// The stage's name.
    pub name: String,
    /// The component's file.
    pub file: PathBuf,
    /// The settings in JSON.
    pub settings: String,
    /// The limits of a call.
    pub limits: Limits,
    /// The grants of the stage.
    pub grants: Grants,
}

/// Why a component is not used as a stage.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// There is something else under the file's name.
    #[error("{} is {found}, not a component's file", .file.display())]
    NotAFile {
        /// The name.
        file: PathBuf,
        /// The kind of thing that is there.
        found: &'static str,
    },
    /// The file is larger than a component can be.
    #[error("{} has more than {limit}", .file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// The most that it may have.
        limit: ByteSize,
    },
    /// The file is no component of the contract, or imports what it is not
    /// granted.
    #[error("{}", .0.display())]
    Invalid(PathBuf, #[source] ComponentFault),
    /// The component has more parts than the stage may have.
    #[error(
        "{} is made of {found} {what}, of which the stage may have {limit} (limits.instances)",
        .file.display()
    )]
    Parts {
        /// The file.
        file: PathBuf,
        /// The kind of parts of which there are too many.
        what: &'static str,
        /// The number of them.
        found: u32,
        /// The most that there may be.
        limit: u32,
    },
    /// The component cannot be compiled.
    #[error("cannot compile {}: {reason}", .file.display())]
    Compile {
        /// The file.
        file: PathBuf,
        /// The compiler's words.
        reason: String,
    },
    /// The component does not fit the contract.
    #[error("cannot link {}: {reason}", .file.display())]
    Link {
        /// The file.
        file: PathBuf,
        /// The reason why it does not fit.
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
        /// The failure.
        source: StageError,
    },
    /// The stage refuses its settings.
    #[error("{} refuses its settings: {}", .file.display(), .faults.join("; "))]
    Settings {
        /// The file.
        file: PathBuf,
        /// Every fault.
        faults: Vec<String>,
    },
}

/// A component's description of itself, and the host's knowledge of its file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The name that the component gives itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// The contract's version that it was built against.
    pub contract: &'static str,
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
    /// A JSON schema of its settings, as the component gives it.
    pub settings_schema: Option<String>,
    /// The facts beyond a container that it wants to be shown.
    pub wants: Wants,
    /// Further facts, such as `author` or `license`.
    pub attributes: Vec<(String, String)>,
}

/// The answer of a call into a guest, and what the guest wrote to the log.
struct GuestCall<T> {
    result: Result<T, StageError>,
    messages: Vec<Message>,
    /// From the instance's beginning to its end.
    time: Duration,
    /// The memory that the instance had.
    memory: usize,
}

/// The options of a [`PluginHost`].
pub struct HostOptions {
    /// The number of calls that may run at once.
    pub concurrency: usize,
    /// For each limit the largest that a stage may have.
    pub largest: Limits,
    /// The stack of a call.
    pub stack: ByteSize,
    /// The reader of a key-value store, for stages that are granted it.
    pub kv: Option<Arc<dyn KvReader>>,
    /// Where components are compiled.
    pub compiler: Compiler,
    /// Where compiled code is kept.
    pub cache: Option<Cache>,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            concurrency: 8,
            largest: Limits::DEFAULT,
            stack: Limits::DEFAULT_STACK,
            kv: None,
            compiler: Compiler::Here,
            cache: None,
        }
    }
}

/// Runs components. Dropping it ends its threads; calls that run are abandoned.
pub struct PluginHost {
    engine: Engine,
    stack: ByteSize,
    kv: Option<Arc<dyn KvReader>>,
    store: Arc<Store>,
    /// Components that stages are made of, by the digests of their files.
    compiled: Mutex<HashMap<String, Weak<Component>>>,
    /// The figures of the stages that were loaded, by their names.
    figures: Mutex<Vec<(String, Weak<Figures>)>>,
    permits: Arc<Semaphore>,
    /// The guests' own threads; there until the host is dropped.
    runtime: Option<runtime::Runtime>,
}

impl PluginHost {
    /// A host without stages.
    ///
    /// # Errors
    ///
    /// The machine cannot run WebAssembly, or a thread cannot be started.
    pub fn new(options: HostOptions) -> Result<Self, String> {
        let HostOptions { concurrency, largest, stack, kv, compiler, cache } = options;
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(concurrency);
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("guest")
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start the guests' threads: {error}"))?;
        Ok(Self {
            engine: Engine::new(concurrency, &largest, stack)?,
            stack,
            kv,
            store: Arc::new(Store { compiler, cache, compilations: AtomicU64::new(0) }),
            compiled: Mutex::default(),
            figures: Mutex::default(),
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
        let file = spec.file.clone();
        let stage = self.describe(spec).await?;
        stage.validate(&file).await?;
        stage.announce();
        Ok(stage)
    }

    /// The same without the validation of the settings: for looking at a
    /// component rather than using it.
    ///
    /// # Errors
    ///
    /// See [`LoadError`].
    pub async fn describe(
        self: &Arc<Self>,
        spec: ComponentSpec,
    ) -> Result<ComponentStage, LoadError> {
        let bytes = file::read(&spec.file)?;
        let imports = imports::inspect(&bytes, &spec.grants)
            .map_err(|error| LoadError::Invalid(spec.file.clone(), error))?;
        let parts = |what, found, limit| {
            let file = spec.file.clone();
            if found > limit { Err(LoadError::Parts { file, what, found, limit }) } else { Ok(()) }
        };
        parts("core instances", imports.instances, spec.limits.instances)?;
        parts("tables", imports.tables, spec.limits.instances)?;
        let digest = hex(&Sha256::digest(&bytes));
        let component = self.compile(&spec.file, &digest, bytes).await?;
        if let Some(needed) = component.resources_required() {
            parts("tables", needed.num_tables, spec.limits.instances)?;
            parts("memories", needed.num_memories, engine::MAX_MEMORIES as u32)?;
        }
        ComponentStage::link(self, component, imports, digest, spec).await
    }

    /// The figures of the stages that are loaded, by their names.
    pub fn stats(&self) -> Vec<(String, Stats)> {
        let figures = lock(&self.figures);
        let stats = |(name, figures): &(String, Weak<Figures>)| {
            Some((name.clone(), figures.upgrade()?.stats()))
        };
        figures.iter().filter_map(stats).collect()
    }

    fn remember(&self, name: &str, stage: &Arc<Figures>) {
        let mut figures = lock(&self.figures);
        figures.retain(|(_, figures)| figures.strong_count() > 0);
        figures.push((name.to_string(), Arc::downgrade(stage)));
    }

    /// The number of components that were compiled, and not found in the cache.
    pub fn compilations(&self) -> u64 {
        self.store.compilations.load(Ordering::Relaxed)
    }

    async fn compile(
        self: &Arc<Self>,
        file: &Path,
        digest: &str,
        bytes: Vec<u8>,
    ) -> Result<Arc<Component>, LoadError> {
        if let Some(component) = lock(&self.compiled).get(digest).and_then(Weak::upgrade) {
            return Ok(component);
        }
        let (engine, store) = (self.engine.wasmtime().clone(), self.store.clone());
        let failed = |reason| LoadError::Compile { file: file.to_path_buf(), reason };
        let key = cache::key(&engine, digest);
        let component = self
            .runtime()
            .spawn_blocking(move || store.component(&engine, &key, &bytes))
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(failed)?;
        let component = Arc::new(component);
        let mut compiled = lock(&self.compiled);
        compiled.retain(|_, component| component.strong_count() > 0);
        compiled.insert(digest.to_string(), Arc::downgrade(&component));
        Ok(component)
    }

    fn runtime(&self) -> &runtime::Runtime {
        self.runtime.as_ref().expect("the runtime is only taken when the host is dropped")
    }
}

/// Where compiled code comes from.
struct Store {
    compiler: Compiler,
    cache: Option<Cache>,
    compilations: AtomicU64,
}

impl Store {
    /// The component, from the cache if it is there.
    fn component(
        &self,
        engine: &wasmtime::Engine,
        key: &str,
        bytes: &[u8],
    ) -> Result<Component, String> {
        if let Some(kept) = self.cache.as_ref().and_then(|cache| cache.get(key)) {
            match kept.load(engine) {
                Ok(component) => return Ok(component),
                Err(error) => warn!(
                    event = event::CODE_REJECTED,
                    reason = format!("{error:#}"),
                    "compiled code is made again"
                ),
            }
        }
        self.compilations.fetch_add(1, Ordering::Relaxed);
        let artifact = self.compiler.compile(engine, bytes)?;
        let component = artifact.load(engine).map_err(|error| format!("{error:#}"))?;
        if let Some(cache) = &self.cache
            && let Err(error) = cache.put(key, &artifact)
        {
            warn!(
                event = event::CODE_NOT_KEPT,
                file = %cache.path().display(),
                reason = %error,
                "compiled code is not kept"
            );
        }
        Ok(component)
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // The values are whole at any moment; a panic elsewhere does not spoil them.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for PluginHost {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting is not possible here: this may be an async task.
            runtime.shutdown_background();
        }
    }
}

/// Bytes of a text from a guest; the rest is cut off.
const MAX_TEXT: usize = 4096;

/// A text from a guest as it may stand in the log: a line break would let it
/// forge lines.
fn one_line(text: &str) -> String {
    let head = &text[..text.floor_char_boundary(MAX_TEXT)];
    let mut shown = text::shown(&head.replace(char::is_control, " ")).into_owned();
    if head.len() < text.len() {
        shown += &format!("… ({} bytes)", text.len());
    }
    shown
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
