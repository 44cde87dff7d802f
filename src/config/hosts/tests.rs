use super::*;

fn list(said: &[&str]) -> HostList {
    let said = said.iter().map(|text| text.parse().unwrap()).collect();
    HostList::default().with_said(said)
}
