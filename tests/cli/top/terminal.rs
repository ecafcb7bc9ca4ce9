//! A command in a pseudo-terminal, and what its user sees there.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub struct Terminal {
    keyboard: File,
    screen: Arc<Mutex<vt100::Parser>>,
    /// Whether somebody looks at it.
    open: Arc<AtomicBool>,
    watching: Option<JoinHandle<()>>,
    child: Child,
}

impl Terminal {
    pub fn run(mut command: Command, rows: u16, columns: u16) -> Self {
        let (master, slave) = open(rows, columns);
        let side = || slave.try_clone().unwrap();
        command.stdin(side()).stdout(side()).stderr(side());
        // SAFETY: between fork and exec, only system calls are made.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        // It has copies of the slave's side: the output ends with the child's alone.
        drop(command);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let keyboard = File::from(master);
        let mut output = keyboard.try_clone().unwrap();
        let parser = screen.clone();
        let open = Arc::new(AtomicBool::new(true));
        let watched = open.clone();
        let watching = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while watched.load(Ordering::Relaxed) {
                if has_more(&output) {
                    let Ok(n @ 1..) = output.read(&mut bytes) else {
                        return;
                    };
                    parser.lock().unwrap().process(&bytes[..n]);
                }
            }
        });
        Self {
            keyboard,
            screen,
            open,
            watching: Some(watching),
            child,
        }
    }

    /// What is on the screen now.
    pub fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until the screen shows that; what it shows then.
    pub fn shows(&self, what: &str) -> String {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let text = self.text();
            if text.contains(what) {
                return text;
            }
            assert!(Instant::now() < until, "no {what:?} in:\n{text}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether a program has the screen for itself, without a cursor.
    pub fn is_taken(&self) -> bool {
        let parser = self.screen.lock().unwrap();
        parser.screen().alternate_screen() && parser.screen().hide_cursor()
    }

    /// Whether what is typed is shown, and comes line by line, as a shell has it.
    pub fn is_cooked(&self) -> bool {
        use std::os::fd::AsRawFd as _;
        // SAFETY: termios is plain data, and the descriptor is open.
        let modes = unsafe {
            let mut modes: libc::termios = std::mem::zeroed();
            assert_eq!(libc::tcgetattr(self.keyboard.as_raw_fd(), &mut modes), 0);
            modes
        };
        modes.c_lflag & (libc::ECHO | libc::ICANON) == libc::ECHO | libc::ICANON
    }

    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        use std::os::fd::AsRawFd as _;
        let size = size(rows, columns);
        let mut parser = self.screen.lock().unwrap();
        parser.screen_mut().set_size(rows, columns);
        // SAFETY: the descriptor is open, and the size outlives the call.
        let done = unsafe { libc::ioctl(self.keyboard.as_raw_fd(), libc::TIOCSWINSZ, &size) };
        assert_eq!(done, 0);
    }

    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: a signal to a child that was not waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Closes the window.
    pub fn hang_up(&mut self) {
        self.open.store(false, Ordering::Relaxed);
        self.watching.take().unwrap().join().unwrap();
        self.keyboard = File::open("/dev/null").unwrap();
    }

    /// Waits for the end; the exit code.
    pub fn ends(&mut self) -> i32 {
        let until = Instant::now() + Duration::from_secs(20);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "it goes on:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        };
        status.code().unwrap()
    }

    /// Waits until the screen, the cursor and the keyboard are a shell's again.
    pub fn is_given_back(&self) {
        let until = Instant::now() + Duration::from_secs(20);
        let back = || {
            let parser = self.screen.lock().unwrap();
            !parser.screen().alternate_screen() && !parser.screen().hide_cursor()
        };
        while !(back() && self.is_cooked()) {
            assert!(Instant::now() < until, "not given back:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits a moment for output.
fn has_more(output: &File) -> bool {
    use std::os::fd::AsRawFd as _;
    let mut wanted = libc::pollfd {
        fd: output.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one live entry.
    unsafe { libc::poll(&raw mut wanted, 1, 50) > 0 }
}

fn size(rows: u16, columns: u16) -> libc::winsize {
    libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

fn open(rows: u16, columns: u16) -> (OwnedFd, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    let size = size(rows, columns);
    let none = std::ptr::null_mut();
    // SAFETY: all pointers are to live values or null; the descriptors are new, and owned here.
    unsafe {
        let done = libc::openpty(
            &mut master,
            &mut slave,
            none,
            none.cast(),
            &raw const size as *mut _,
        );
        assert_eq!(done, 0, "openpty: {}", std::io::Error::last_os_error());
        libc::fcntl(master, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::fcntl(slave, libc::F_SETFD, libc::FD_CLOEXEC);
        (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave))
    }
}
