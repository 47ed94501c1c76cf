//! The page that the recording's templates read.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

/// Serves it for as long as the process lives, unless that is done already.
pub fn serve() {
    let Ok(listener) = TcpListener::bind("127.0.0.1:18090") else { return };
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 2048]);
            let body = r#"{"n": 7, "Additional": {"Country": "United States"}, "list": [1,2]}"#;
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + body).as_bytes());
        }
    });
}
