//! The manual page.

use clap::CommandFactory;

use super::args::Args;

/// One page with every verb, in the language of `man` (roff).
///
/// # Errors
/// None but those of writing into memory.
pub fn page() -> std::io::Result<Vec<u8>> {
    let mut command = Args::command().term_width(0);
    command.build();
    let mut out = Vec::new();
    let man = clap_mangen::Man::new(command.clone());
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    let mut roff = String::from(".SH VERBS\n");
    for verb in command.get_subcommands() {
        if verb.is_hide_set() || verb.get_name() == "help" {
            continue;
        }
        let man = clap_mangen::Man::new(verb.clone());
        let mut section = Vec::new();
        man.render_synopsis_section(&mut section)?;
        man.render_description_section(&mut section)?;
        if verb.get_arguments().next().is_some() {
            man.render_options_section(&mut section)?;
        }
        man.render_extra_section(&mut section)?;
        let section = String::from_utf8_lossy(&section);
        // What a page of its own has as sections are parts of one here.
        let text = section
            .replace(".SH SYNOPSIS\n", "")
            .replace(".SH ", ".SS ");
        roff.push_str(&format!(".SS {}\n{text}\n", verb.get_name()));
    }
    out.extend(roff.into_bytes());
    man.render_extra_section(&mut out)?;
    man.render_version_section(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_in_it() {
        let page = String::from_utf8(page().unwrap()).unwrap();
        for verb in Args::command().get_subcommands() {
            let head = format!(".SS {}\n", verb.get_name());
            assert!(page.contains(&head), "{}: {page}", verb.get_name());
        }
        assert!(page.contains(".TH lbdev 1"), "{page}");
    }
}
