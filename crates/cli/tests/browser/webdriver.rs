//! A headless Chromium of one test's own, driven through chromedriver.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::process::Process;

/// How long anything is waited for. Far more than it takes: a machine may be busy, but a test must end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at. Each look is a round trip to the browser.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// No sandbox, since root can't have one; nothing that speaks to a network by itself.
const FLAGS: [&str; 8] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser with a fresh profile. It ends, and its profile is removed, when this is dropped.
pub(crate) struct Browser {
    client: Client,
    session: String,
    /// `127.0.0.1:port` of chromedriver.
    driver_address: String,
    // In the order in which they are dropped: the profile's folder is in use before.
    _driver: Process,
    _profile: Profile,
}

/// An entry of level SEVERE in the browser's console.
#[derive(Debug)]
pub(crate) struct ConsoleError {
    source: String,
    message: String,
}

impl ConsoleError {
    /// Whether the browser tells of a request that failed. No page can keep it from doing so.
    fn is_of_network(&self) -> bool {
        self.source == "network" || self.message.contains("Failed to load resource")
    }
}

impl Browser {
    pub(crate) async fn open() -> Self {
        Self::open_with(&[]).await
    }

    pub(crate) async fn open_with(flags: &[&str]) -> Self {
        let profile = Profile::new();
        let mut command = Command::new(program("chromedriver"));
        // It draws a port on 127.0.0.1, wants the same on [::1], and ends if another program has that one.
        command.arg("--port=0").stderr(Stdio::null());
        let (driver, driver_address) = Process::start_again(command, |line| {
            let port = line.split_once("started successfully on port ")?.1.trim_end_matches('.');
            Some(format!("127.0.0.1:{port}"))
        });
        let mut arguments: Vec<String> = FLAGS.iter().chain(flags).map(|&flag| flag.to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", profile.0.display()));
        let capabilities = json!({
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "binary": program("chromium"), "args": arguments },
        });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities.as_object().unwrap().clone());
        let connecting = timeout(PATIENCE, builder.connect(&format!("http://{driver_address}"))).await;
        let client = connecting.expect("the browser starts in time").expect("the browser starts");
        let session = client.session_id().await.unwrap().unwrap();
        Self { client, session, driver_address, _driver: driver, _profile: profile }
    }

    pub(crate) async fn go(&self, url: &str) {
        timeout(PATIENCE, self.client.goto(url)).await.expect("the page loads in time").unwrap();
    }

    pub(crate) async fn reload(&self) {
        timeout(PATIENCE, self.client.refresh()).await.expect("the page loads in time").unwrap();
    }

    /// Runs the body of a function in the page and gives what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        let run = timeout(PATIENCE, self.client.execute(script, Vec::new())).await;
        run.expect("the script ends in time").unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until the expression is truthy in the page, and gives its value.
    pub(crate) async fn until(&self, expression: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let value = self.run(&format!("try {{ return ({expression}) }} catch {{ return null }}")).await;
            if !matches!(value, Value::Null | Value::Bool(false)) && value != 0 && value != "" {
                return value;
            }
            if Instant::now() > deadline {
                let page = self.run("return document.body.innerText.slice(0, 2000)").await;
                panic!("never came true: {expression}\nthe page:\n{}", page.as_str().unwrap_or_default());
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    pub(crate) async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap();
    }

    /// Replaces what stands in a field, key by key.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Fails the test if the console shows an error.
    pub(crate) async fn expect_clean_console(&self) {
        let errors = self.console_errors().await;
        assert!(errors.is_empty(), "the console shows errors: {errors:#?}");
    }

    /// The same, for a test that itself makes requests fail: the browser reports these whatever the page does.
    pub(crate) async fn expect_only_network_errors(&self) {
        let mut errors = self.console_errors().await;
        errors.retain(|error| !error.is_of_network());
        assert!(errors.is_empty(), "the console shows errors: {errors:#?}");
    }

    /// The errors in the console since the last call. fantoccini has no command for it.
    async fn console_errors(&self) -> Vec<ConsoleError> {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let url = format!("http://{}/session/{}/se/log", self.driver_address, self.session);
        let request = client.post(url).json(&json!({ "type": "browser" }));
        let answer: Value = request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let entries = answer["value"].as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        // For what names no icon, such as plain text, a browser asks on its own.
        let entries = entries.filter(|entry| !text(entry, "message").contains("/favicon.ico "));
        entries.map(|entry| ConsoleError { source: text(entry, "source"), message: text(entry, "message") }).collect()
    }

    async fn find(&self, css: &str) -> Element {
        self.client.find(Locator::Css(css)).await.unwrap_or_else(|error| panic!("{css}: {error}"))
    }
}

impl Drop for Browser {
    /// chromedriver ends its browser when the session is deleted, but not when it is killed.
    fn drop(&mut self) {
        let delete = || -> std::io::Result<()> {
            let mut stream = TcpStream::connect(&self.driver_address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let head = format!("DELETE /session/{} HTTP/1.1\r\nHost: {}", self.session, self.driver_address);
            stream.write_all(format!("{head}\r\n\r\n").as_bytes())?;
            // It answers when the browser has ended, and keeps the connection.
            stream.read(&mut [0; 64]).map(drop)
        };
        // It fails only if chromedriver is gone already.
        let _ = delete();
    }
}

/// A folder for the browser's profile.
struct Profile(PathBuf);

impl Profile {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("fanfare-browser-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // The browser's last helpers may still be writing for a moment after it has ended.
        for _ in 0..100 {
            if std::fs::remove_dir_all(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Where a program is. These tests are never skipped: without a browser they fail and say what to do.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    let found = found.or_else(|| Some(Path::new("/usr/bin").join(name)).filter(|file| file.is_file()));
    found.unwrap_or_else(|| {
        panic!(
            "the browser tests need {name}: install Debian's packages chromium and chromium-driver \
             (apt-get install chromium chromium-driver), or run scripts/test, which does"
        )
    })
}
