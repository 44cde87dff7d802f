//! One request of a lab, with its whole answer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::load::{self, Sample, Target};

/// So much of a body is kept.
const KEPT: usize = 64 << 10;

/// Sends it; gives what came back as labs see it: `status`, `ms`, `text`, `fields`, `backend`, `failure`.
pub(super) async fn ask(target: &Target, sample: &Sample, timeout: Duration) -> Value {
    let began = Instant::now();
    let asked = load::ask(target, sample, timeout, KEPT).await;
    let ms = began.elapsed().as_secs_f64() * 1e3;
    match asked {
        Ok(answer) => {
            let fields: BTreeMap<&str, &str> = answer
                .fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let backend = fields.get("x-lbdev-backend").copied().unwrap_or_default();
            let backend = backend.rsplit(':').next().unwrap_or_default();
            json!({
                "status": answer.status, "ms": ms, "text": answer.text, "fields": fields,
                "backend": backend, "failure": "",
            })
        }
        Err(failure) => json!({
            "status": 0, "ms": ms, "text": "", "fields": {}, "backend": "", "failure": failure.to_string(),
        }),
    }
}
