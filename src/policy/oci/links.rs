//! The place of a list's next page, which a registry gives in `Link` (RFC 8288).

use reqwest::header::{HeaderMap, LINK};

/// The place of the next page, as it is written; none on the last one.
pub(super) fn next(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(links).find_map(|(place, parameters)| is_next(parameters).then(|| place.into()))
}

/// The links of a header: each place, and what is said of it.
fn links(header: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = header;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once('<')?;
        let (place, after) = after.split_once('>')?;
        let end = end_of(after);
        let (parameters, further) = after.split_at(end);
        rest = further;
        Some((place, parameters))
    })
}

/// The end of one link's text: a comma that is in no quotes.
fn end_of(text: &str) -> usize {
    let mut quoted = false;
    let end = text.find(|c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    end.unwrap_or(text.len())
}

/// Whether a link is one to the next page.
fn is_next(parameters: &str) -> bool {
    parameters.split(';').any(|one| {
        let (name, value) = one.split_once('=').unwrap_or((one, ""));
        let kinds = value
            .trim()
            .trim_matches('"')
            .split_ascii_whitespace()
            .any(|kind| kind.eq_ignore_ascii_case("next"));
        name.trim().eq_ignore_ascii_case("rel") && kinds
    })
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        for (all, expected) in [
            (&[][..], None),
            (&["</v2/a/referrers/x?last=b>; rel=\"next\""][..], Some("/v2/a/referrers/x?last=b")),
            (&["<a>; rel=next"], Some("a")),
            (&["<a,b;c>; REL=\"prev next\""], Some("a,b;c")),
            (&["<a>; rel=prev, <b>; title=\"x, <c>; rel=next\"; rel=next"], Some("b")),
            (&["<a>; rel=prev", "<b>;rel=next"], Some("b")),
            (&["<a>; rel=nextpage"], None),
            (&["<a>"], None),
            (&["<a"], None),
            (&["a; rel=next"], None),
        ] {
            let mut headers = HeaderMap::new();
            for one in all {
                headers.append(LINK, HeaderValue::from_str(one).expect("a header"));
            }
            assert_eq!(next(&headers).as_deref(), expected, "{all:?}");
        }
    }
}
