//! Words: how many of what, and which one was meant.

/// A number of things, of which `many` is the plural: `1 fault`, `2 faults`.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The word that differs by no more than a slip or two.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let near = known.into_iter().map(|one| (distance(&lower, &one.to_lowercase()), one));
    let most = match lower.chars().count() {
        0..=2 => 0,
        3..=4 => 1,
        _ => 2,
    };
    near.filter(|(far, _)| *far <= most).min_by_key(|(far, _)| *far).map(|(_, one)| one)
}

/// Letters to put in, leave out, exchange, or swap with their neighbour, until one word is
/// the other.
fn distance(one: &str, other: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            if i == 0 || j == 0 {
                rows[i][j] = i + j;
                continue;
            }
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut least =
                (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}
