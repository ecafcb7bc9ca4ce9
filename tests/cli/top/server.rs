//! An admin API that answers what a test wants.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub const STATUS: &str = include_str!("status.json");

/// How an admin API answers a call without its token.
pub const TOKEN_INVALID: &str = r#"{"error": {"message": "…", "code": "token_invalid"}}"#;

/// What is answered to every request.
#[derive(Clone)]
pub enum Answer {
    Json(String),
    /// The status, to calls with the token `se-cret`.
    Guarded,
    Status(u16, &'static str),
    Bytes(Vec<u8>),
    /// The connection stays open, and nothing comes.
    Nothing,
    Hangup,
}

pub struct Server {
    pub url: String,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn new(answer: Answer) -> Self {
        Self::over("http", answer, |socket, serve| serve(&mut &socket))
    }

    /// A server over TLS, or whatever `wrap` makes of a socket.
    pub fn over(
        scheme: &str,
        answer: Answer,
        wrap: impl Fn(TcpStream, &mut dyn FnMut(&mut dyn Stream)) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self {
            url: format!("{scheme}://localhost:{port}/-/tiergate"),
            answer: Arc::new(Mutex::new(answer)),
            requests: Arc::default(),
        };
        let (answer, requests) = (server.answer.clone(), server.requests.clone());
        let wrap = Arc::new(wrap);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (answer, requests) = (answer.clone(), requests.clone());
                let wrap = wrap.clone();
                std::thread::spawn(move || {
                    wrap(socket, &mut |stream| serve(stream, &answer, &requests));
                });
            }
        });
        server
    }

    /// From now on, this is answered.
    pub fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// The heads of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

pub trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn serve(stream: &mut dyn Stream, answer: &Mutex<Answer>, requests: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            // A handshake, where there is no TLS.
            Ok(1) if byte[0] == 0x16 => {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                return;
            }
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let is_let_in = head.contains("authorization: Bearer se-cret\r\n");
    requests.lock().unwrap().push(head);
    let (status, body) = match answer.lock().unwrap().clone() {
        Answer::Guarded if is_let_in => (200, STATUS.into()),
        Answer::Guarded => (401, TOKEN_INVALID.into()),
        Answer::Json(body) => (200, body.into_bytes()),
        Answer::Bytes(body) => (200, body),
        Answer::Status(status, body) => (status, body.into()),
        Answer::Hangup => return,
        Answer::Nothing => {
            let _ = stream.read(&mut byte);
            return;
        }
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\nlocation: /elsewhere\r\n\r\n"
    );
    let _ = stream.write_all(&[head.into_bytes(), body].concat());
    let _ = stream.flush();
}
