use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
};

use crate::stages::plugin::cache::*;

const KIB: usize = 1024;

struct Fixture {
    folder: tempfile::TempDir,
    cache: Cache,
}

fn fixture(most: ByteSize) -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(&folder.path().join("a/b"), most).expect("it can be made");
    Fixture { folder, cache }
}

impl Fixture {
    fn put(&self, key: &str, size: usize) {
        self.cache.put(key, &Artifact::compiled(vec![7; size])).expect("it can be written");
    }

    fn has(&self, key: &str) -> bool {
        self.cache.get(key).is_some()
    }

    fn file(&self, key: &str) -> PathBuf {
        self.cache.path().join(name(key))
    }
}

#[test]
fn what_is_put_is_got_and_belongs_to_the_user_alone() {
    let fixture = fixture(ByteSize::mib(1));
    assert!(!fixture.has("x"));
    fixture.put("x", KIB);
    assert!(fixture.has("x"));
    let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o7777;
    assert_eq!(mode(fixture.cache.path()), 0o700);
    assert_eq!(mode(&fixture.file("x")), 0o600);
    let names = fs::read_dir(fixture.cache.path()).expect("a folder").count();
    assert_eq!(names, 1, "nothing unfinished is left");
}

#[test]
fn what_is_damaged_or_moved_is_not_used_and_can_be_replaced() {
    let fixture = fixture(ByteSize::mib(1));
    fixture.put("x", KIB);
    fs::copy(fixture.file("x"), fixture.file("y")).expect("it can be copied");
    assert!(!fixture.has("y"), "it is the code of another key");
    let mut bytes = fs::read(fixture.file("x")).expect("it can be read");
    bytes[500] ^= 1;
    fs::write(fixture.file("x"), &bytes).expect("it can be written");
    assert!(!fixture.has("x"));
    fixture.put("x", KIB);
    assert!(fixture.has("x"));
}

#[test]
fn what_others_could_have_written_is_not_used() {
    let fixture = fixture(ByteSize::mib(1));
    fixture.put("x", KIB);
    for mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(fixture.file("x"), Permissions::from_mode(mode)).expect("chmod");
        assert!(!fixture.has("x"), "{mode:o}");
    }
    fs::set_permissions(fixture.file("x"), Permissions::from_mode(0o600)).expect("chmod");
    assert!(fixture.has("x"));

    let real = fixture.folder.path().join("elsewhere");
    fs::rename(fixture.file("x"), &real).expect("it can be moved");
    symlink(&real, fixture.file("x")).expect("a link");
    assert!(!fixture.has("x"), "a symbolic link is not followed");
    // Its replacement takes the link's place and leaves the file alone.
    fixture.put("x", 2 * KIB);
    assert!(fixture.has("x"));
    assert_eq!(fs::metadata(&real).expect("it is there").len(), (KIB + 48) as u64);
}

#[test]
fn a_folder_that_is_not_private_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |path: &Path| {
        let error = Cache::open(path, ByteSize::mib(1)).expect_err("it is refused");
        let text =
            format!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string));
        assert!(text.contains(&path.display().to_string()), "{text}");
        text
    };
    let open = folder.path().join("open");
    fs::create_dir(&open).expect("a folder");
    for mode in [0o755, 0o770, 0o707] {
        fs::set_permissions(&open, Permissions::from_mode(mode)).expect("chmod");
        let text = refused(&open);
        assert!(text.contains(&format!("has the mode {mode:04o}")), "{text}");
    }
    fs::set_permissions(&open, Permissions::from_mode(0o700)).expect("chmod");
    Cache::open(&open, ByteSize::mib(1)).expect("now it is private");
    let link = folder.path().join("link");
    symlink(&open, &link).expect("a link");
    refused(&link);
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    refused(&file);
}

#[test]
fn what_was_not_used_for_the_longest_time_is_removed() {
    let fixture = fixture(ByteSize::kib(10));
    let stranger = fixture.cache.path().join("README");
    fs::write(&stranger, vec![0; 20 * KIB]).expect("it can be written");
    let age = |key: &str, hours: u64| {
        let then = SystemTime::now() - Duration::from_secs(3600 * hours);
        let file = File::options().write(true).open(fixture.file(key)).expect("it is there");
        file.set_modified(then).expect("its time can be set");
    };
    for (key, hours) in [("a", 3), ("b", 2), ("c", 1)] {
        fixture.put(key, 3 * KIB);
        age(key, hours);
    }
    assert!(fixture.has("a"), "its use makes it the youngest");
    fixture.put("d", 3 * KIB);
    let left: Vec<_> = ["a", "b", "c", "d"].into_iter().filter(|key| fixture.has(key)).collect();
    assert_eq!(left, ["a", "c", "d"]);
    assert!(stranger.exists());

    let error = fixture.cache.put("e", &Artifact::compiled(vec![0; 11 * KIB]));
    assert!(error.expect_err("it is too large").to_string().contains("10.0 KiB"));
    let abandoned = fixture.cache.path().join(format!("1-1{UNFINISHED}"));
    fs::write(&abandoned, "half").expect("it can be written");
    let then = SystemTime::now() - 2 * ABANDONED;
    File::options()
        .write(true)
        .open(&abandoned)
        .and_then(|file| file.set_modified(then))
        .expect("a time");
    fixture.put("f", KIB);
    assert!(!abandoned.exists());
}
