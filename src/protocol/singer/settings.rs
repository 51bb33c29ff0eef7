//! Settings of the Singer tap only, named as in the Singer SDK.

use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::config::{Problems, is_unset, switch};
use crate::error::{Error, Result};

/// Default number of records per batch file, as in the SDK.
const BATCH_SIZE: u64 = 10_000;
/// Default number of records per Arrow file, as in other taps.
const ARROW_BATCH_SIZE: u64 = 100_000;
/// The formats of batch files that this program can write.
const FORMATS: &[&str] = if cfg!(feature = "files") { &["jsonl", "arrow"] } else { &["jsonl"] };

/// Their JSON schemas, by name.
pub static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "emit_activate_version_messages": {
            "type": "boolean",
            "title": "Activate Versions",
            "description": "Send ACTIVATE_VERSION after a full read of objects, so that targets can mark or remove deleted ones. Skipped when a sync covers fewer advertisers or countries than the last one, and never sent for reports. Cannot be combined with batch_config.",
            "default": false,
        },
        "use_singer_decimal": {
            "type": "boolean",
            "title": "Exact Decimals",
            "description": "Send numbers with a fraction as strings of the format x-singer.decimal, as the SDK's SQL taps do, so that targets that read JSON numbers as floating point keep every digit. Arrow batches have exact decimals anyway.",
            "default": false,
        },
        "batch_config": {
            "type": "object",
            "title": "Batches",
            "description": "Pass records to the target in files. Several times faster, but the target must support BATCH messages.",
            "required": ["encoding", "storage"],
            "properties": {
                "encoding": {
                    "type": "object",
                    "title": "Batch Encoding",
                    "description": "File format.",
                    "required": ["format"],
                    "properties": {
                        "format": {
                            "type": "string",
                            "enum": FORMATS,
                            "title": "Batch Encoding Format",
                            "description": "jsonl: one JSON object per line. arrow: Arrow IPC files, typed and several times faster, for targets that load them.",
                        },
                        "compression": {
                            "type": "string",
                            "enum": ["gzip", "none"],
                            "title": "Batch Compression",
                            "description": "File compression of jsonl; none by default.",
                        },
                    },
                },
                "storage": {
                    "type": "object",
                    "title": "Batch Storage",
                    "description": "File location.",
                    "required": ["root"],
                    "properties": {
                        "root": {
                            "type": "string",
                            "pattern": "^(file://)?/",
                            "pattern_descriptor": "an absolute folder, such as file:///tmp/batches",
                            "title": "Batch Folder",
                            "description": "Absolute path of a folder that tap and target can both access, such as file:///tmp/batches.",
                        },
                        "prefix": {
                            "type": "string",
                            "pattern": "^[^/]*$",
                            "pattern_descriptor": "a name without slashes",
                            "title": "Batch File Prefix",
                            "description": "Prefix of the file names.",
                        },
                    },
                },
                "batch_size": {
                    "type": "integer",
                    "minimum": 1,
                    "title": "Batch Size",
                    "description": "Records per file; by default 10,000, or 100,000 with arrow.",
                },
            },
        },
    })
});

/// The format of batch files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchFormat {
    /// One JSON object per line.
    Jsonl,
    /// Arrow IPC files.
    Arrow,
}

/// Location and format of the files.
#[derive(Debug, Clone)]
pub struct Batches {
    /// The format.
    pub format: BatchFormat,
    /// The folder, created if missing.
    pub folder: PathBuf,
    /// Prefix of the file names.
    pub prefix: String,
    /// Whether they are compressed with gzip.
    pub is_compressed: bool,
    /// Records per file.
    pub size: u64,
}

/// The tap's settings.
#[derive(Debug, Default)]
pub struct Settings {
    /// Whether full reads of objects end with `ACTIVATE_VERSION`.
    pub activates_versions: bool,
    /// Whether numbers with a fraction are strings.
    pub uses_decimals: bool,
    /// Batch files, if records go there instead of stdout.
    pub batches: Option<Batches>,
}

impl Settings {
    /// Extracts the tap's settings from all settings.
    ///
    /// # Errors
    /// `config_error` that lists every mistake.
    pub fn parse(all: &Map<String, Value>) -> Result<Self> {
        let own = SCHEMA.as_object().into_iter().flatten().map(|(name, _)| name);
        let own = own.filter_map(|name| Some((name.clone(), all.get(name).filter(|value| !is_unset(value))?.clone())));
        let own = own.map(|(name, value)| (name, switch(value)));
        let own = Value::Object(own.collect());
        let problems = Problems::of_schema(&own, &json!({"type": "object", "properties": *SCHEMA}));
        if !problems.is_empty() {
            return Err(problems.into_error());
        }
        let activates_versions = own["emit_activate_version_messages"] == true;
        let batch = &own["batch_config"];
        if activates_versions && batch.is_object() {
            return Err(Error::config(
                "emit_activate_version_messages cannot be combined with batch_config, since records in files have no \
                 version. Set only one of them.",
            ));
        }
        let is_arrow = batch["encoding"]["format"] == "arrow";
        let is_compressed = batch["encoding"]["compression"] == "gzip";
        if is_arrow && is_compressed {
            return Err(Error::config(
                "batch_config.encoding.compression gzip is for jsonl. Remove it to write Arrow files.",
            ));
        }
        let size = if is_arrow { ARROW_BATCH_SIZE } else { BATCH_SIZE };
        let batches = batch["storage"]["root"].as_str().map(|root| Batches {
            format: if is_arrow { BatchFormat::Arrow } else { BatchFormat::Jsonl },
            folder: PathBuf::from(root.strip_prefix("file://").unwrap_or(root)),
            prefix: batch["storage"]["prefix"].as_str().unwrap_or_default().to_owned(),
            is_compressed,
            size: batch["batch_size"].as_u64().unwrap_or(size),
        });
        let uses_decimals = own["use_singer_decimal"] == true && !is_arrow;
        Ok(Self { activates_versions, uses_decimals, batches })
    }
}

#[cfg(test)]
mod tests {
    use crate::protocol::singer::settings::*;

    fn parse(all: &Value) -> Result<Settings> {
        Settings::parse(all.as_object().unwrap())
    }

    #[test]
    fn batch_settings_match_the_sdk() {
        let batch = json!({"encoding": {"format": "jsonl", "compression": "gzip"}, "storage": {"root": "file:///tmp/x", "prefix": "p-"}});
        let settings =
            parse(&json!({"batch_config": batch, "emit_activate_version_messages": "", "other": 1})).unwrap();
        let batches = settings.batches.unwrap();
        assert_eq!((batches.folder.to_str(), &*batches.prefix), (Some("/tmp/x"), "p-"));
        assert!(batches.is_compressed && batches.size == BATCH_SIZE && !settings.activates_versions);
        assert!(parse(&json!({"emit_activate_version_messages": "True"})).unwrap().activates_versions);
        assert!(parse(&json!({"batch_config": batch, "emit_activate_version_messages": true})).is_err());
        let nothing = parse(&json!({"batch_config": null})).unwrap();
        assert!(nothing.batches.is_none() && !nothing.activates_versions);
    }

    #[test]
    fn errors_name_their_path() {
        let batch = json!({"encoding": {"format": "parquet"}, "storage": {"root": "s3://bucket"}});
        let error = parse(&json!({"batch_config": batch, "emit_activate_version_messages": "maybe"})).unwrap_err();
        for path in ["batch_config.encoding.format", "batch_config.storage.root", "emit_activate_version_messages"] {
            assert!(error.message.contains(path), "{path}: {error}");
        }
    }
}
