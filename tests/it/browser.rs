//! A real browser: headless Chromium, driven through chromedriver by the WebDriver protocol (plain JSON over HTTP).

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::harness::Running;
use crate::need::Chromium;
use crate::wait::{holds_within, s};

/// One browser window, with a profile of its own.
pub struct Browser {
    session: String,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    // Dropped in this order: the driver ends before its profile's folder goes.
    driver: Running,
    _profile: tempfile::TempDir,
}

/// An element's key in WebDriver's answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

impl Browser {
    /// Starts chromedriver on a port from the system, and Chromium in it.
    pub fn start(tools: &Chromium) -> Result<Browser> {
        let profile = tempfile::Builder::new()
            .prefix("lbchrome")
            .tempdir_in("/tmp")?;
        let mut command = Command::new(&tools.driver);
        command
            .arg("--port=0")
            .env("HOME", profile.path())
            .env("TMPDIR", profile.path())
            .env_remove("HTTP_PROXY")
            .env_remove("http_proxy")
            .env_remove("ALL_PROXY")
            .env_remove("all_proxy")
            .stdin(std::process::Stdio::null());
        let driver = Running::spawn(command);
        let ready = driver.wait_line("started successfully on port", s(30));
        let port: u16 = ready
            .split("on port")
            .nth(1)
            .and_then(|rest| rest.trim().trim_end_matches('.').parse().ok())
            .with_context(|| format!("no port in {ready:?}"))?;
        let mut browser = Browser {
            session: format!("http://127.0.0.1:{port}/session"),
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(s(60))
                .build()?,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            driver,
            _profile: profile,
        };
        let user_data = format!(
            "--user-data-dir={}",
            browser._profile.path().join("chrome").display()
        );
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {
                "binary": tools.browser,
                "args": [
                    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                    "--disable-background-networking", "--disable-component-update", "--disable-sync",
                    "--disable-dev-shm-usage", "--no-proxy-server", user_data,
                ],
            },
        }}});
        let session = browser.call("POST", "", &capabilities)?;
        let id = session["sessionId"].as_str().context("no session id")?;
        browser.session = format!("{}/{id}", browser.session);
        Ok(browser)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.session);
        let method = reqwest::Method::from_bytes(method.as_bytes())?;
        let mut request = self.client.request(method.clone(), &url);
        if method == reqwest::Method::POST {
            request = request.json(body);
        }
        let answer: Value = self
            .runtime
            .block_on(async { request.send().await?.json().await })
            .with_context(|| format!("WebDriver {method} {path}"))?;
        let value = answer["value"].clone();
        if value["error"].is_string() {
            bail!(
                "WebDriver {method} {path}: {} ({})",
                value["error"],
                value["message"]
            );
        }
        Ok(value)
    }

    /// Opens a page and waits until it is loaded, with everything in it.
    pub fn open(&self, url: &str) -> Result<()> {
        self.call("POST", "/url", &json!({ "url": url })).map(drop)
    }

    /// The reload button.
    pub fn reload(&self) -> Result<()> {
        self.call("POST", "/refresh", &json!({})).map(drop)
    }

    /// The text that a person sees.
    pub fn text(&self) -> Result<String> {
        let text = self.script("return document.body.innerText")?;
        Ok(text.as_str().context("no text")?.to_owned())
    }

    /// Waits until the page shows `text`: a click returns before the answer to the form it sends is there.
    pub fn wait_text(&self, text: &str) -> Result<()> {
        let mut last = String::new();
        let shown = holds_within(s(20), || {
            // Between two pages there is none to read.
            last = self.text().unwrap_or_default();
            last.contains(text)
        });
        ensure!(shown, "{text:?} does not appear: {last}");
        Ok(())
    }

    /// The address in the address bar.
    pub fn url(&self) -> Result<String> {
        let url = self.call("GET", "/url", &Value::Null)?;
        Ok(url.as_str().context("no address")?.to_owned())
    }

    /// Runs a script in the page, and returns what it returns.
    pub fn script(&self, script: &str) -> Result<Value> {
        self.call(
            "POST",
            "/execute/sync",
            &json!({"script": script, "args": []}),
        )
    }

    fn element(&self, css: &str) -> Result<String> {
        let found = self.call(
            "POST",
            "/element",
            &json!({"using": "css selector", "value": css}),
        )?;
        let id = found[ELEMENT]
            .as_str()
            .with_context(|| format!("no element {css}"))?;
        Ok(format!("/element/{id}"))
    }

    /// Types into a field.
    pub fn type_into(&self, css: &str, text: &str) -> Result<()> {
        let element = self.element(css)?;
        self.call(
            "POST",
            &format!("{element}/value"),
            &json!({ "text": text }),
        )
        .map(drop)
    }

    /// Clicks.
    pub fn click(&self, css: &str) -> Result<()> {
        let element = self.element(css)?;
        self.call("POST", &format!("{element}/click"), &json!({}))
            .map(drop)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium; the driver ends with its `Running`.
        let _ = self.call("DELETE", "", &Value::Null);
        self.driver.signal_group(rustix::process::Signal::TERM);
    }
}
