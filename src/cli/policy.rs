//! `wharfinger policy`: a bundle from an empty file to a signed one, looked at and compared.

mod build;
mod diff;
mod pull;
mod push;
mod show;

use std::{path::PathBuf, time::SystemTime};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::{Printed, whole::write};
use crate::{
    files,
    policy::{
        Bundle, archive,
        sign::{self, PrivateKey},
        trust::{Trust, TrustedKey},
    },
};

/// The flags of `policy` and its commands.
#[derive(Debug, Clone, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Make a bundle of a configuration file: the stages, [limits], [containers] and [address],
    /// and the components that are named. The same input gives the same bytes.
    Build(build::BuildArgs),
    /// Show what a bundle holds.
    Show(show::ShowArgs),
    /// Show what differs between two bundles; the exit code is 2 if anything does.
    Diff(diff::DiffArgs),
    /// Sign a bundle as cosign does it with a key pair, in the bundle's file.
    Sign(SignArgs),
    /// Verify that a bundle is whole and signed by one of these keys.
    Verify(VerifyArgs),
    /// Push a bundle and its signatures to a registry of images.
    Push(push::PushArgs),
    /// Pull a bundle and what was signed of it from a registry of images.
    Pull(pull::PullArgs),
}

/// The flags of `policy sign`.
#[derive(Debug, Clone, Args)]
struct SignArgs {
    /// The bundle; it is written anew with the signature in it.
    file: PathBuf,

    /// The private key: ECDSA on P-256 or Ed25519, PKCS#8 in PEM; or one of cosign's own, which the
    /// password in COSIGN_PASSWORD opens.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// The flags of `policy verify`.
#[derive(Debug, Clone, Args)]
struct VerifyArgs {
    /// The bundle.
    file: PathBuf,

    /// A public key whose signature counts, in PEM; several times for several.
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
}

/// Carry out a command.
///
/// # Errors
///
/// It cannot be done; the words name the file.
pub async fn policy(args: &PolicyArgs) -> anyhow::Result<Printed> {
    match &args.command {
        Command::Build(args) => build::build(args).await,
        Command::Show(args) => show::show(args),
        Command::Diff(args) => diff::diff(args),
        Command::Sign(args) => signed(args),
        Command::Verify(args) => verify(args),
        Command::Push(args) => push::push(args).await,
        Command::Pull(args) => pull::pull(args).await,
    }
}

fn signed(args: &SignArgs) -> anyhow::Result<Printed> {
    let mut bundle = archive::read(&args.file)?;
    let password = std::env::var("COSIGN_PASSWORD").ok();
    let key = PrivateKey::open(&text(&args.key)?, password.as_deref());
    let signature = key.and_then(|key| key.sign(&bundle));
    sign::add(&mut bundle, signature.with_context(|| args.key.display().to_string())?);
    write(&args.file, &archive::write(&bundle))?;
    Ok(good(format!("signed {}\n", title(&bundle))))
}

fn verify(args: &VerifyArgs) -> anyhow::Result<Printed> {
    let trust = trust(&args.key)?;
    let bundle = archive::read(&args.file)?;
    let key = trust
        .verify(&bundle, SystemTime::now())
        .with_context(|| args.file.display().to_string())?;
    Ok(good(format!("{} is signed by {key}\n", title(&bundle))))
}

/// Trust in the keys of these files.
pub(super) fn trust(files: &[PathBuf]) -> anyhow::Result<Trust> {
    let keys = files.iter().map(|path| {
        let name = path.display().to_string();
        Ok(TrustedKey { name, key: text(path)?, until: None })
    });
    Ok(Trust::new(keys.collect::<anyhow::Result<_>>()?)?)
}

/// What a bundle is called for people.
pub(super) fn title(bundle: &Bundle) -> String {
    format!("{} {} {}", bundle.name, bundle.sequence, bundle.digest)
}

fn good(text: String) -> Printed {
    Printed { text: crate::text::lines(&text), code: 0 }
}

/// The text of a file that somebody names.
fn text(path: &std::path::Path) -> anyhow::Result<String> {
    files::read_text(path, files::TEXT).with_context(|| format!("cannot read {}", path.display()))
}
