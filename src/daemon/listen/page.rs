//! The page for people: plain files that are part of the program.

use axum::{
    extract::Path,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};

use super::shape::fault;

const INDEX: &str = include_str!("page/index.html");
const LOGIN: &str = include_str!("page/login.html");

/// The files beside the page, and whether a login needs them.
const FILES: [(&str, &str, &str, bool); 5] = [
    ("page.css", "text/css; charset=utf-8", include_str!("page/page.css"), true),
    ("login.js", "text/javascript; charset=utf-8", include_str!("page/login.js"), true),
    ("icon.svg", "image/svg+xml", include_str!("page/icon.svg"), true),
    ("page.js", "text/javascript; charset=utf-8", include_str!("page/page.js"), false),
    ("explain.js", "text/javascript; charset=utf-8", include_str!("page/explain.js"), false),
];

/// Whether a path is that of a file that a login needs.
pub(super) fn is_of_login(path: &str) -> bool {
    let name = path.strip_prefix("/assets/");
    name.is_some_and(|name| FILES.iter().any(|(file, _, _, login)| *file == name && *login))
}

pub(super) async fn index() -> Response {
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], INDEX).into_response()
}

/// The page that asks for the token.
pub(super) fn login() -> Response {
    let head = [(CONTENT_TYPE, "text/html; charset=utf-8")];
    (StatusCode::UNAUTHORIZED, head, LOGIN).into_response()
}

pub(super) async fn asset(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, kind, text, _)) => ([(CONTENT_TYPE, *kind)], *text).into_response(),
        None => fault(StatusCode::NOT_FOUND, "there is no such file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The policy of contents forbids it, and a browser would only show less.
    #[test]
    fn nothing_is_inline_or_from_elsewhere_or_made_of_text() {
        let texts = FILES.iter().map(|(name, _, text, _)| (*name, *text));
        for (name, text) in texts.chain([("index.html", INDEX), ("login.html", LOGIN)]) {
            for foreign in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "<style",
                " style=",
                " onclick=",
                " onload=",
                "javascript:",
                "@import",
                "url(",
                "https://",
                "//cdn",
                ".style.",
                "Function(",
            ] {
                assert!(!text.contains(foreign), "{name} has {foreign}");
            }
            let scripts = text.matches("<script").count();
            assert_eq!(scripts, text.matches("<script src=\"/assets/").count(), "{name}");
        }
        for page in [INDEX, LOGIN] {
            let files = page.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next());
            for file in files {
                assert!(FILES.iter().any(|(name, ..)| *name == file), "{file}");
            }
        }
        assert!(is_of_login("/assets/login.js") && !is_of_login("/assets/page.js"));
    }
}
