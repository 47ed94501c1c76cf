//! The smallest stage, made without the SDK: it tags every service with the
//! version of the contract that it was built against. The host's tests keep a
//! compiled one of each released version, and see that it still loads and runs.

#[cfg(target_family = "wasm")]
mod component {
    #[allow(missing_docs, unreachable_pub)]
    mod bindings {
        wit_bindgen::generate!({ path: "../../wit/v0.1.0", world: "stage-component" });
    }

    use bindings::{
        exports::wharfinger::pipeline::stage::{
            Container, Description, Guest, HostFacts, Outcome, Service,
        },
        wharfinger::pipeline::{
            logging::{Level, log},
            types::Verdict,
        },
    };

    struct Minimal;

    bindings::export!(Minimal with_types_in bindings);

    impl Guest for Minimal {
        fn describe() -> Description {
            Description {
                name: "minimal".into(),
                version: "0.1.0".into(),
                summary: "Tags every service with the contract's version.".into(),
                settings_schema: None,
                attributes: Vec::new(),
            }
        }

        fn validate_settings(settings: String) -> Result<(), Vec<String>> {
            if settings == "{}" { Ok(()) } else { Err(vec!["there are no settings".into()]) }
        }

        fn process(
            _settings: String,
            container: Container,
            _host: HostFacts,
            services: Vec<Service>,
        ) -> Result<Outcome, String> {
            log(Level::Info, &container.name);
            let tag = |mut service: Service| {
                service.tags.push("contract-0.1.0".into());
                Verdict::Replace(service)
            };
            let verdicts = services.into_iter().map(tag).collect();
            Ok(Outcome { verdicts, added: Vec::new() })
        }
    }
}
