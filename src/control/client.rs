//! Asks a running instance over its control socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, Response};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::frames::PROTOCOL;
use crate::error::{CODES, Exit, Report};
use crate::wire;

/// The socket is on this machine: whoever does not answer for so long hangs.
const ANSWER: Duration = Duration::from_secs(10);

/// One running instance, as its clients see it. Dropping it, or a call's future, undoes nothing.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    socket: PathBuf,
}

/// Why a running instance could not be asked, or would not.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The HTTP client itself cannot be made.
    #[error("cannot make an HTTP client")]
    Setup {
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// Nobody answers at the socket, or not in time, or not in whole.
    #[error("no answer over the control socket")]
    NoAnswer {
        /// Where it was asked.
        socket: PathBuf,
        /// Whether it accepted and was then silent.
        hangs: bool,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The answer is not what this version of lbdev understands.
    #[error("an answer that is not understood")]
    Strange {
        /// The HTTP status.
        status: u16,
    },
    /// It refused, and says why.
    #[error("refused")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why.
        problem: wire::ProblemBody,
        /// Where there is more than one thing: all of them.
        all: Vec<wire::ProblemBody>,
    },
    /// What was typed cannot name a backend.
    #[error("no backend has such a name")]
    Target {
        /// What was typed.
        target: String,
    },
}

impl Client {
    /// A client of the instance that listens on `socket`. It connects with the first question.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(socket: &Path) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder().no_proxy();
        #[cfg(unix)]
        let http = http.unix_socket(socket);
        #[cfg(windows)]
        let http = http.windows_named_pipe(socket);
        let http = http
            .timeout(ANSWER)
            .build()
            .map_err(|source| ClientError::Setup { source })?;
        Ok(Self {
            http,
            socket: socket.to_owned(),
        })
    }

    /// Everything there is to see.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&self) -> Result<wire::Status, ClientError> {
        self.ask(Method::GET, "/v1/status", None).await
    }

    /// Has the dashboard ask for another token from now on; who may read it finds it in the state folder.
    ///
    /// # Errors
    /// When it does not answer, or has no dashboard.
    pub async fn new_dashboard_token(&self) -> Result<(), ClientError> {
        let path = "/v1/dashboard/token";
        let _: Value = self.ask(Method::POST, path, None).await?;
        Ok(())
    }

    /// What happened after the event of this number; waits up to `wait` for the first.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn events(&self, after: u64, wait: Duration) -> Result<wire::Events, ClientError> {
        let path = format!("/v1/events?after={after}&wait_ms={}", wait.as_millis());
        self.ask(Method::GET, &path, None).await
    }

    /// The last minute, second by second.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn history(&self) -> Result<wire::History, ClientError> {
        self.ask(Method::GET, "/v1/history", None).await
    }

    /// The backends that `target` names, as a person typed it. Nothing is done to them.
    ///
    /// # Errors
    /// When it does not answer, or knows no such backend.
    pub async fn backends(&self, target: &str) -> Result<wire::Acted, ClientError> {
        let path = format!("/v1/backends/{}", segment(target)?);
        self.ask(Method::GET, &path, None).await
    }

    /// Does `verb` (`kill`, `stop`, `start`, `restart`, `drain`, `undrain`, `freeze`, `thaw`) to `target` as a person typed it; the server resolves it.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub async fn act(
        &self,
        target: &str,
        verb: &str,
        body: Option<Value>,
    ) -> Result<wire::Acted, ClientError> {
        let path = format!("/v1/backends/{}/{verb}", segment(target)?);
        self.ask(Method::POST, &path, Some(body.unwrap_or_else(|| json!({}))))
            .await
    }

    /// Changes settings of the balancer, all or none; the server knows their names and values.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub async fn set(&self, settings: Map<String, Value>) -> Result<wire::Settings, ClientError> {
        let body = Some(Value::Object(settings));
        self.ask(Method::PATCH, "/v1/settings", body).await
    }

    /// Changes settings of each backend that `target` names, all or none.
    ///
    /// # Errors
    /// When it does not answer, knows no such backend, or refuses.
    pub async fn set_of(
        &self,
        target: &str,
        settings: Map<String, Value>,
    ) -> Result<wire::Acted, ClientError> {
        let path = format!("/v1/backends/{}", segment(target)?);
        let body = Some(Value::Object(settings));
        self.ask(Method::PATCH, &path, body).await
    }

    /// Has a service run so many backends; replies with all of them.
    ///
    /// # Errors
    /// When it does not answer, knows no such service, or refuses.
    pub async fn scale(&self, service: &str, backends: u32) -> Result<wire::Acted, ClientError> {
        let path = format!("/v1/services/{}/scale", segment(service)?);
        let body = Some(json!({ "backends": backends }));
        self.ask(Method::POST, &path, body).await
    }

    /// Has another set-up hold: by what `up` was asked for now, or by the same as before. What has to be started or restarted
    /// for it is under way when this returns.
    ///
    /// # Errors
    /// When it does not answer, or the set-up cannot be; then nothing has changed.
    pub async fn reload(
        &self,
        request: Option<wire::UpRequest>,
    ) -> Result<wire::Reloaded, ClientError> {
        let body = Some(json!({ "request": request }));
        self.ask(Method::POST, "/v1/reload", body).await
    }

    /// Tells it to stop everything and end. It agrees at once and goes on by itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn shutdown(&self) -> Result<(), ClientError> {
        let response = self
            .send(Method::POST, "/v1/shutdown", Some(json!({})))
            .await?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(self.refusal(response).await)
    }

    /// Becomes the terminal of the backend that `target` names: with the verb `debug` it is started anew for that, and gets
    /// every request until the connection ends. What goes over it is [`frames`](super::frames).
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub async fn terminal(
        &self,
        target: &str,
        verb: &str,
    ) -> Result<reqwest::Upgraded, ClientError> {
        let path = format!("/v1/backends/{}/{verb}", segment(target)?);
        let request = self
            .http
            .request(Method::POST, format!("http://lbdev{path}"))
            .header("connection", "upgrade")
            .header("upgrade", PROTOCOL);
        let response = request.send().await.map_err(|e| self.no_answer(e))?;
        let status = response.status();
        if status != reqwest::StatusCode::SWITCHING_PROTOCOLS {
            return Err(self.refusal(response).await);
        }
        response.upgrade().await.map_err(|e| self.no_answer(e))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, ClientError> {
        let response = self.send(method, path, body).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(self.refusal(response).await);
        }
        let bytes = response.bytes().await.map_err(|e| self.no_answer(e))?;
        serde_json::from_slice(&bytes).map_err(|_| ClientError::Strange {
            status: status.as_u16(),
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Response, ClientError> {
        // The host is a word only: every connection goes to the socket.
        let mut request = self.http.request(method, format!("http://lbdev{path}"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.map_err(|e| self.no_answer(e))
    }

    async fn refusal(&self, response: Response) -> ClientError {
        let status = response.status().as_u16();
        match response.bytes().await {
            Ok(bytes) => match serde_json::from_slice::<wire::Problem>(&bytes) {
                Ok(problem) => ClientError::Refused {
                    status,
                    problem: problem.error,
                    all: problem.errors,
                },
                Err(_) => ClientError::Strange { status },
            },
            Err(source) => self.no_answer(source),
        }
    }

    fn no_answer(&self, source: reqwest::Error) -> ClientError {
        ClientError::NoAnswer {
            socket: self.socket.clone(),
            hangs: source.is_timeout(),
            source,
        }
    }
}

impl From<ClientError> for Report {
    fn from(error: ClientError) -> Report {
        match error {
            ClientError::Setup { source } => Report::failed("LB008", format!("{source}"))
                .hint("run it again; if that does not help, restart the machine's network"),
            ClientError::NoAnswer { socket, hangs, .. } => {
                let what = if hangs {
                    format!("does not answer within {} s", ANSWER.as_secs())
                } else {
                    "does not answer".to_owned()
                };
                Report::failed(
                    "LB006",
                    format!("the running lbdev {what} on `{}`", socket.display()),
                )
                .hint("run `lbdev ls` to see whether it still runs, then `lbdev down`")
            }
            ClientError::Strange { status } => Report::failed(
                "LB006",
                format!(
                    "the running lbdev answered with something else than expected (HTTP {status})"
                ),
            )
            .hint("it may be another version: run `lbdev down`, then `lbdev up`"),
            ClientError::Refused {
                status, problem, ..
            } => report(problem, status),
            ClientError::Target { target } => {
                Report::usage("LB030", format!("no backend is called `{target}`"))
                    .hint("run `lbdev status` to see what they are called")
            }
        }
    }
}

impl ClientError {
    /// All that there is to say, where it is more than one thing.
    pub fn reports(self) -> Vec<Report> {
        match self {
            ClientError::Refused {
                status,
                problem,
                all,
            } if all.is_empty() => vec![report(problem, status)],
            ClientError::Refused { status, all, .. } => {
                let each = all.into_iter().map(|problem| report(problem, status));
                each.collect()
            }
            other => vec![other.into()],
        }
    }
}

fn report(problem: wire::ProblemBody, status: u16) -> Report {
    let known = CODES.iter().find(|(code, _)| *code == problem.code);
    Report {
        code: known.map_or("LB006", |(code, _)| code),
        message: problem.message,
        details: problem.details,
        hint: problem.hint,
        exit: exit_of(status),
    }
}

/// 400, 404 and 422 say that the question was wrong; everything else that the answer failed.
fn exit_of(status: u16) -> Exit {
    match status {
        400 | 404 | 422 => Exit::Usage,
        _ => Exit::Failed,
    }
}

/// What was typed as a path segment.
fn segment(target: &str) -> Result<String, ClientError> {
    // A dot as a whole segment would be taken for a step through the path.
    if matches!(target, "" | "." | "..") {
        return Err(ClientError::Target {
            target: target.to_owned(),
        });
    }
    Ok(percent_encoded(target))
}

/// One path segment: RFC 3986's unreserved characters, and `:` and `,`, which a segment may hold, as they are.
fn percent_encoded(segment: &str) -> String {
    use std::fmt::Write;
    segment.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~:,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::socket::Listener;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn targets_are_one_segment() {
        for (target, expected) in [
            ("8000", "8000"),
            ("web:8000,worker.1", "web:8000,worker.1"),
            ("a/b?c#d %", "a%2Fb%3Fc%23d%20%25"),
            ("ü", "%C3%BC"),
        ] {
            assert_eq!(percent_encoded(target), expected);
        }
    }

    /// What can be listened on.
    fn place(dir: &Path) -> PathBuf {
        match cfg!(windows) {
            true => Path::new(r"\\.\pipe").join(dir.file_name().unwrap()),
            false => dir.join("s"),
        }
    }

    /// Answers one question with `answer` and returns what was asked.
    async fn exchange(answer: &str) -> (String, Result<wire::Acted, ClientError>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = place(dir.path());
        let mut listener = Listener::bind(&socket).unwrap();
        let client = Client::new(&socket).unwrap();
        let server = async {
            let mut stream = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let mut n = 0;
            while !asked[..n].ends_with(b"}") {
                n += stream.read(&mut asked[n..]).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            drop(stream);
            String::from_utf8(asked[..n].to_vec()).unwrap()
        };
        tokio::join!(
            server,
            client.act("web:8000", "kill", Some(json!({"signal": "SIGTERM"})))
        )
    }

    #[tokio::test]
    async fn a_question_and_its_answers() {
        let (asked, answer) = exchange(
            "HTTP/1.1 200 OK\r\ncontent-length: 28\r\n\r\n{\"version\":1,\"backends\":[]}\n",
        )
        .await;
        assert!(
            asked.starts_with("POST /v1/backends/web:8000/kill HTTP/1.1\r\n"),
            "{asked}"
        );
        assert!(asked.ends_with("{\"signal\":\"SIGTERM\"}"), "{asked}");
        assert_eq!(answer.unwrap().backends, []);

        let body = r#"{"version":1,"error":{"code":"LB030","message":"no `9`","hint":"h"}}"#;
        let head = format!(
            "HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let (_, refused) = exchange(&format!("{head}{body}")).await;
        let report = Report::from(refused.unwrap_err());
        assert_eq!(
            report,
            Report::usage("LB030", "no `9`").hint("h"),
            "code, message, hint and exit are kept"
        );

        for broken in [
            "HTTP/1.1 500 X\r\ncontent-length: 4\r\n\r\noops",
            "HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\n[]",
            "HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\n{",
            "",
        ] {
            let (_, answer) = exchange(broken).await;
            assert_eq!(Report::from(answer.unwrap_err()).code, "LB006", "{broken}");
        }
    }

    #[tokio::test]
    async fn nobody_there() {
        let client = Client::new(Path::new("/nowhere/s")).unwrap();
        let error = client.status().await.unwrap_err();
        assert!(matches!(error, ClientError::NoAnswer { hangs: false, .. }));
        let error = client.act("..", "kill", None).await.unwrap_err();
        assert_eq!(Report::from(error).code, "LB030");
    }
}
