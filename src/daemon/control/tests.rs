use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use crate::daemon::control::*;

async fn fault(path: &Path) -> String {
    Control::listen(Some(path)).await.expect_err("it is refused").to_string()
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
}

#[tokio::test]
async fn nothing_is_replaced_but_a_socket_that_nobody_listens_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    fs::write(&path, "precious").expect("written");
    assert!(fault(&path).await.ends_with("is no socket, and it stays"));
    let dead = folder.path().join("dead");
    drop(std::os::unix::net::UnixListener::bind(&dead).expect("a socket"));
    for (name, to) in
        [("link", &path), ("to-socket", &dead), ("dangling", &folder.path().join("none"))]
    {
        let link = folder.path().join(name);
        symlink(to, &link).expect("a link");
        assert!(fault(&link).await.ends_with("is no socket, and it stays"), "{name}");
        assert!(link.is_symlink());
    }
    assert!(fault(&folder.path().join("file/below")).await.contains("file"));
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "precious");
    let control = Control::listen(Some(&dead)).await.expect("a dead socket is replaced");
    assert!(fault(&dead).await.ends_with("another daemon listens there"));
    drop(control);
}

#[tokio::test]
async fn a_folder_that_others_may_write_to_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("a/b");
    let path = inner.join("control.sock");
    drop(Control::listen(Some(&path)).await.expect("it makes the folder"));
    assert_eq!(fs::metadata(&inner).expect("the folder").mode() & 0o777, 0o700);
    for mode in [0o777, 0o770, 0o702, 0o1777] {
        chmod(&inner, mode);
        assert!(fault(&path).await.contains("others may write"), "{mode:o}");
    }
    chmod(&inner, 0o755);
    chmod(&folder.path().join("a"), 0o777);
    assert!(fault(&path).await.contains("others may write"), "on the way");
    chmod(&folder.path().join("a"), 0o1777);
    drop(Control::listen(Some(&path)).await.expect("nobody can exchange it there"));
    if own_user() == 0 {
        std::os::unix::fs::chown(&inner, Some(4242), None).expect("an owner");
        assert!(fault(&path).await.contains("belongs to user 4242"));
    }
}

#[test]
fn only_root_and_oneself_are_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("control.sock");
    assert!(is_trusted(0, &socket) && is_trusted(own_user(), &socket));
    assert!(!is_trusted(4242, &socket));
}
