//! Evaluations as OpenTelemetry describes them.

use flagstone_model::details::{ErrorCode, Reason};

use super::{Evaluation, Hook};

/// A [`Hook`] that emits a `tracing` event `feature_flag.evaluation` for each evaluation, with the attributes that
/// OpenTelemetry's semantic conventions give it.
///
/// They are `feature_flag.key`, `feature_flag.provider.name`, `feature_flag.result.variant`,
/// `feature_flag.result.reason` and `error.type` (lower case), `feature_flag.set.id` (`PROJECT/ENVIRONMENT`), and
/// `feature_flag.version` (of the snapshot). Never `feature_flag.context.id`, which is somebody, nor the value, which may
/// be large or secret.
///
/// Target `feature_flag`, level INFO: a layer that exports to OpenTelemetry takes it from there.
#[derive(Debug, Clone, Copy, Default)]
pub struct EvaluationEvents;

impl Hook for EvaluationEvents {
    fn on_evaluation(&self, evaluation: &Evaluation<'_>) {
        tracing::event!(
            name: "feature_flag.evaluation",
            target: "feature_flag",
            tracing::Level::INFO,
            feature_flag.key = evaluation.flag,
            feature_flag.provider.name = "flagstone",
            feature_flag.result.variant = evaluation.variation,
            feature_flag.result.reason = reason(evaluation.reason),
            feature_flag.set.id = evaluation.set,
            feature_flag.version = evaluation.version.map(tracing::field::display),
            error.r#type = evaluation.error_code.map(error_type),
        );
    }
}

const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Static => "static",
        Reason::TargetingMatch => "targeting_match",
        Reason::Split => "split",
        Reason::Default => "default",
        Reason::Disabled => "disabled",
        Reason::Unknown => "unknown",
        Reason::Error => "error",
    }
}

const fn error_type(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::ProviderNotReady => "provider_not_ready",
        ErrorCode::FlagNotFound => "flag_not_found",
        ErrorCode::ParseError => "parse_error",
        ErrorCode::TypeMismatch => "type_mismatch",
        ErrorCode::InvalidContext => "invalid_context",
        ErrorCode::TargetingKeyMissing => "targeting_key_missing",
    }
}
