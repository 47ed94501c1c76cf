//! Image references: `[registry[:port]/]path[:tag][@digest]`.

/// The registry of an image that names none, and the path of one there that
/// has a single part. Source: the reference grammar of Docker's distribution.
const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_FOLDER: &str = "library/";
/// Another name of the same registry.
const OLD_NAME: &str = "index.docker.io";

/// The parts of an image reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image<'a> {
    /// The registry as it is written; none if the image names none.
    pub registry: Option<&'a str>,
    /// The repository's path within the registry, such as `team/web`.
    pub path: &'a str,
    /// The tag, if there is one.
    pub tag: Option<&'a str>,
    /// The digest, such as `sha256:2bdd01bb…`, if there is one.
    pub digest: Option<&'a str>,
}

impl<'a> Image<'a> {
    /// Take a reference apart. Of an image that is given by its identifier,
    /// the identifier is the digest, and the path is empty.
    pub fn parse(reference: &'a str) -> Self {
        if reference.starts_with("sha256:") {
            return Self { registry: None, path: "", tag: None, digest: Some(reference) };
        }
        let (rest, digest) = split(reference, reference.find('@'));
        let tag_at = rest.rfind(':').filter(|at| !rest[*at..].contains('/'));
        let (rest, tag) = split(rest, tag_at);
        match rest.split_once('/') {
            // Only a registry has a dot or a port, or is this machine.
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => {
                Self { registry: Some(first), path, tag, digest }
            }
            _ => Self { registry: None, path: rest, tag, digest },
        }
    }

    /// The last part of the path, such as `web`; of an image that is given by
    /// its identifier, the first twelve digits of that.
    pub fn name(&self) -> &'a str {
        if self.path.is_empty() {
            let digest = self.digest.unwrap_or_default();
            let digits = digest.split_once(':').map_or(digest, |(_, digits)| digits);
            return digits.get(..12).unwrap_or(digits);
        }
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The path without the last part, such as `team`; none if it has one part.
    pub fn folder(&self) -> Option<&'a str> {
        self.path.rsplit_once('/').map(|(folder, _)| folder)
    }

    /// The registry that the image comes from, also where it names none.
    pub fn source(&self) -> &'a str {
        self.registry.filter(|registry| *registry != OLD_NAME).unwrap_or(DEFAULT_REGISTRY)
    }

    /// The whole reference without tag and digest, and with nothing left out:
    /// `nginx` is `docker.io/library/nginx`.
    pub fn repository(&self) -> String {
        let source = self.source();
        let folder = match source {
            DEFAULT_REGISTRY if !self.path.contains('/') => DEFAULT_FOLDER,
            _ => "",
        };
        format!("{source}/{folder}{}", self.path)
    }

    /// The whole reference without tag and digest, and with everything left
    /// out that can be: `docker.io/library/nginx` is `nginx`.
    pub fn short(&self) -> String {
        let whole = self.repository();
        match whole.strip_prefix(DEFAULT_REGISTRY).and_then(|rest| rest.strip_prefix('/')) {
            None => whole,
            Some(path) => path.strip_prefix(DEFAULT_FOLDER).unwrap_or(path).into(),
        }
    }
}

/// The text before and after the separator of one byte at `at`.
fn split(text: &str, at: Option<usize>) -> (&str, Option<&str>) {
    match at {
        Some(at) => (&text[..at], Some(&text[at + 1..]).filter(|rest| !rest.is_empty())),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reference: &str, registry: Option<&str>, path: &str, tag: Option<&str>, whole: &str) {
        let image = Image::parse(reference);
        assert_eq!((image.registry, image.path, image.tag), (registry, path, tag), "{reference}");
        assert_eq!(image.repository(), whole, "{reference}");
    }

    #[test]
    fn references_are_taken_apart() {
        check("nginx", None, "nginx", None, "docker.io/library/nginx");
        check("team/web:1.2", None, "team/web", Some("1.2"), "docker.io/team/web");
        check("docker.io/web", Some("docker.io"), "web", None, "docker.io/library/web");
        check("r.local:5000/a/web", Some("r.local:5000"), "a/web", None, "r.local:5000/a/web");
        check("r.local:5000/web:1", Some("r.local:5000"), "web", Some("1"), "r.local:5000/web");
        check("localhost/web:1", Some("localhost"), "web", Some("1"), "localhost/web");
        check("web:1@sha256:2b", None, "web", Some("1"), "docker.io/library/web");
        check("web:", None, "web", None, "docker.io/library/web");
    }

    #[test]
    fn every_name_of_an_image_has_one_long_and_one_short_form() {
        for name in ["web", "docker.io/web", "docker.io/library/web:1", "index.docker.io/web"] {
            let image = Image::parse(name);
            assert_eq!((&*image.repository(), &*image.short()), ("docker.io/library/web", "web"));
        }
        assert_eq!(Image::parse("docker.io/team/web:1").short(), "team/web");
        assert_eq!(Image::parse("r.example.com/library/web").short(), "r.example.com/library/web");
    }

    #[test]
    fn the_path_has_a_name_and_folders() {
        let image = Image::parse("registry.example.com/shop/front/web@sha256:2b");
        assert_eq!((image.name(), image.folder()), ("web", Some("shop/front")));
        assert_eq!((image.tag, image.digest), (None, Some("sha256:2b")));
        assert_eq!(Image::parse("web").folder(), None);
        assert_eq!(Image::parse("sha256:2bdd").digest, Some("sha256:2bdd"));
        assert_eq!(Image::parse("sha256:2bdd01bb6724a59c").name(), "2bdd01bb6724");
    }
}
