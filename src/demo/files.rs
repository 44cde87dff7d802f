//! The server of static files: a folder as it is. The work (types, ranges, validators) is `hyper-staticfile`'s; here is
//! what it leaves open: which files are nobody's business, and what a refusal looks like.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_staticfile::vfs::{FileOpener, FileWithMetadata, TokioFileOpener};
use hyper_staticfile::{ResolveResult, ResolvedFile, Resolver, ResponseBuilder};

use super::body::{self, Body};
use super::page;

/// Which server answered, for a person with `curl -i`.
const SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// A folder that is served.
pub(super) struct Folder {
    resolver: Resolver<Inside>,
    served_by: HeaderValue,
}

impl Folder {
    /// The folder; an error if there is none at this path.
    pub(super) fn new(dir: &Path) -> io::Result<Self> {
        let root = dir.canonicalize()?;
        if !root.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self {
            resolver: Resolver::with_opener(Inside {
                root: root.into(),
                open: Arc::new(TokioFileOpener::new("")),
            }),
            served_by: HeaderValue::from(0),
        })
    }

    /// Names the port in its answers.
    pub(super) fn on_port(mut self, port: u16) -> Self {
        self.served_by = HeaderValue::from(port);
        self
    }
}

/// Answers one request.
pub(super) async fn answer(folder: Arc<Folder>, request: Request<Incoming>) -> Response<Body> {
    let (parts, sent) = request.into_parts();
    body::drain(sent).await;
    let request = Request::from_parts(parts, ());
    let mut response = match folder.resolver.resolve_request(&request).await {
        Ok(ResolveResult::MethodNotMatched) => {
            let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "files are read with GET");
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
            response
        }
        Ok(ResolveResult::NotFound) => refuse(StatusCode::NOT_FOUND, "there is no such file"),
        Ok(ResolveResult::PermissionDenied) => {
            refuse(StatusCode::FORBIDDEN, "the file may not be read")
        }
        Ok(ResolveResult::IsDirectory { .. }) => into_folder(&request),
        Ok(ResolveResult::Found(file)) => send(&request, file),
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read"),
    };
    let headers = response.headers_mut();
    headers.insert(SERVED_BY, folder.served_by.clone());
    // To be asked for again each time (304 where nothing changed): a file under development changes.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The file, or the part of it that was asked for, or 304.
fn send<B>(request: &Request<B>, file: ResolvedFile) -> Response<Body> {
    let content_type = file.content_type.clone();
    let found = ResolveResult::Found(file);
    let Ok(response) = ResponseBuilder::new().request(request).build(found) else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be sent");
    };
    let mut response = response.map(|body| body.boxed_unsync());
    // The crate says the type with a whole file only. A part has it too, and so has HEAD (RFC 9110 §9.3.2, §15.3.7).
    if matches!(
        response.status(),
        StatusCode::OK | StatusCode::PARTIAL_CONTENT
    ) && let Some(value) = content_type.and_then(|text| HeaderValue::try_from(text).ok())
    {
        let headers = response.headers_mut();
        headers.entry(header::CONTENT_TYPE).or_insert(value);
    }
    response
}

/// A folder asked for without its last slash. The answer is relative, and begins with `./`: no path can turn it into
/// another host's address.
fn into_folder<B>(request: &Request<B>) -> Response<Body> {
    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
    let mut target = format!("./{name}/");
    if let Some(query) = request.uri().query() {
        target.push('?');
        target.push_str(query);
    }
    let mut response = refuse(StatusCode::MOVED_PERMANENTLY, "it is a folder");
    // What could be parsed as a target can be written as a field.
    if let Ok(target) = HeaderValue::from_str(&target) {
        response.headers_mut().insert(header::LOCATION, target);
    }
    response
}

fn refuse(status: StatusCode, sentence: &str) -> Response<Body> {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>{0}</title>\n\
         <body style=\"font: 1.2rem/1.5 system-ui, sans-serif; margin: 4rem auto; max-width: 40rem; padding: 0 1rem\">\n\
         <h1>{0}</h1>\n<p>{1}</p>\n",
        status.as_u16(),
        page::escape(sentence),
    );
    page::html(status, page)
}

/// Opens what lies inside the folder, is a plain file or a folder, and has no dot in front of its name.
struct Inside {
    /// Without symbolic links.
    root: Arc<Path>,
    open: Arc<TokioFileOpener>,
}

impl Inside {
    /// Where a path really leads; an error if that is nobody's business.
    fn find(root: &Path, path: &Path) -> io::Result<PathBuf> {
        if hidden(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let real = root.join(path).canonicalize().map_err(not_found)?;
        // A link may lead out of the folder, or around the dots.
        match real.strip_prefix(root) {
            Ok(inside) if !hidden(inside) => {}
            _ => return Err(io::ErrorKind::NotFound.into()),
        }
        // Opening a named pipe would wait for its writer.
        let kind = real.metadata()?;
        if kind.is_file() || kind.is_dir() {
            Ok(real)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

/// `.git`, `.env` and the like; `/.well-known/` is meant to be seen (RFC 8615).
fn hidden(path: &Path) -> bool {
    path.components().any(|part| match part {
        Component::Normal(name) => {
            name.as_encoded_bytes().first() == Some(&b'.') && name != ".well-known"
        }
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            false
        }
    })
}

/// A name that cannot be (too long, with a NUL, below a file) is one that is not there.
fn not_found(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => error,
        _ => io::ErrorKind::NotFound.into(),
    }
}

impl FileOpener for Inside {
    type File = tokio::fs::File;
    type Future =
        Pin<Box<dyn Future<Output = io::Result<FileWithMetadata<tokio::fs::File>>> + Send>>;

    fn open(&self, path: &Path) -> Self::Future {
        let (root, path, open) = (
            Arc::clone(&self.root),
            path.to_owned(),
            Arc::clone(&self.open),
        );
        Box::pin(async move {
            let find = tokio::task::spawn_blocking(move || Self::find(&root, &path));
            let real = find.await.map_err(io::Error::other)??;
            open.open(&real).await
        })
    }
}
