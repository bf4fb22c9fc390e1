//! The last stage of the Dockerfile, as an image. It knows the few instructions that stage is made of, and refuses others, so
//! that what an engine builds and what is packed here can't drift apart.

use std::path::Path;

use crate::{File, Image, Result};

/// What the last stage of a Dockerfile makes, of what the stage before it left in `/out` (here: in `out`), with these
/// arguments in place of `--build-arg`.
pub fn last_stage(dockerfile: &str, out: &Path, arguments: &[(&str, &str)]) -> Result<Image> {
    let lines = dockerfile.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<&str> = lines.collect();
    let begin = lines.iter().rposition(|line| line.starts_with("FROM ")).ok_or("there is no FROM")?;
    if lines[begin] != "FROM scratch" {
        return Err("the last stage doesn't begin with FROM scratch".into());
    }
    let mut image = Image::default();
    let mut declared = Vec::new();
    for line in &lines[begin + 1..] {
        let (instruction, rest) = line.split_once(' ').unwrap_or((line, ""));
        match instruction {
            "ARG" => {
                let argument = arguments.iter().find(|(name, _)| *name == rest);
                declared.push(argument.ok_or_else(|| format!("no value is given for ARG {rest}"))?);
            }
            "LABEL" => {
                let (key, value) = rest.split_once('=').ok_or_else(|| format!("not KEY=\"value\": {line}"))?;
                let mut value: String = serde_json::from_str(value)?;
                for (name, argument) in &declared {
                    value = value.replace(&format!("${name}"), argument);
                }
                if value.contains('$') {
                    return Err(format!("no such argument: {line}").into());
                }
                image.labels.insert(key.to_owned(), value);
            }
            "COPY" => {
                let paths = rest.strip_prefix("--from=build /out/").and_then(|paths| paths.split_once(' '));
                let (from, to) = paths.ok_or_else(|| format!("not COPY --from=build /out/FILE /PATH: {line}"))?;
                image.files.push(File { from: out.join(from), to: to.to_owned() });
            }
            "USER" => rest.clone_into(&mut image.user),
            "ENTRYPOINT" => image.entrypoint = serde_json::from_str(rest)?,
            _ => return Err(format!("the last stage can't have this: {line}").into()),
        }
    }
    Ok(image)
}
