"""The fields that requests may have, by surface: what is not known here is refused by name.

Providers that speak OpenAI's API add fields of their own, and pass over those of others. A field
that nobody here knows may search, name another model or lift a limit, so it is refused; those that
only change how tokens are chosen, shown, stored or attributed pass, whoever they are meant for.

Known are the typed parameters of the official SDKs, and what vLLM, SGLang, llama.cpp, LM Studio,
OpenRouter, Groq, xAI, DeepSeek, Mistral, Together, Fireworks, Perplexity and Azure add to them.
Messages are here too, for others than Anthropic serve them with fields of their own.
"""

from collections.abc import Mapping
from typing import Any

from sidecar.providers import reading
from sidecar.providers.reading import unbounded

_SEARCH = "a search is billed by itself, and nothing bounds how many there are"
_FALLBACK = "which model answers, and at which price, is not known before"
_LIMIT = "it is a limit on the output that is not read here; use max_tokens"
REFUSED = {
    "web_search_options": _SEARCH,
    "search_parameters": _SEARCH,
    "enable_search": _SEARCH,
    "plugins": "what a plugin costs is not metered",
    "models": _FALLBACK,
    "fallbacks": _FALLBACK,
    "preset": "it may bring another model, plugins and limits that nobody sees here",
    "data_sources": "what is found there counts as input, and nothing bounds it",
    "deferred": "its answer is billed after this call has ended",
    "n_predict": _LIMIT,
    "num_predict": _LIMIT,
}
"""What no surface takes, whoever the provider is."""
_GOOGLES = frozenset(("thinking_config", "thinkingConfig", "safety_settings", "safetySettings"))
"""What may be asked of Gemini beside OpenAI's own fields: it costs nothing that is not bounded."""

_SAMPLING = frozenset(
    (
        *("temperature", "top_p", "top_k", "top_a", "min_p", "typical_p", "top_n_sigma", "seed"),
        *("random_seed", "repetition_penalty", "frequency_penalty", "presence_penalty"),
        *("length_penalty", "repeat_penalty", "repeat_last_n", "penalize_nl", "logit_bias"),
        *("mirostat", "mirostat_tau", "mirostat_eta", "mirostat_target", "mirostat_lr"),
        *("dry_multiplier", "dry_base", "dry_allowed_length", "dry_penalty_last_n"),
        *("dry_sequence_breakers", "xtc_probability", "xtc_threshold", "dynatemp_range"),
        *("dynatemp_exponent", "samplers", "min_keep", "do_sample", "use_beam_search"),
        *("early_stopping", "min_tokens", "ignore_eos", "stop", "stop_token_ids", "stop_regex"),
        *("no_stop_trim", "bad_words", "allowed_token_ids", "include_stop_str_in_output"),
        *("skip_special_tokens", "spaces_between_special_tokens", "repetition_detection"),
    )
)
"""How tokens are chosen, and where an answer ends sooner."""
_SHAPE = frozenset(
    (
        *("response_format", "guided_json", "guided_regex", "guided_choice", "guided_grammar"),
        *("guided_decoding_backend", "guided_whitespace_pattern", "structured_outputs"),
        *("structural_tag", "json_schema", "grammar", "regex", "ebnf", "logprobs", "top_logprobs"),
        *("prompt_logprobs", "n_probs", "post_sampling_probs", "echo", "return_token_ids"),
        *("return_tokens_as_token_ids", "raw_output", "verbosity", "language_preference"),
        *("safe_prompt", "citation_options", "tool_stream", "parse_tool_calls"),
        *("mask_sensitive_info", "return_images", "return_related_questions", "media_response"),
        *("stream_mode", "timings_per_token", "return_progress", "perf_metrics_in_response"),
    )
)
"""What an answer looks like, and what is told of it."""
_THINKING = frozenset(
    (
        *("reasoning", "reasoning_effort", "reasoning_format", "reasoning_history", "thinking"),
        *("include_reasoning", "separate_reasoning", "stream_reasoning", "reasoning_split"),
        *("enable_thinking", "thinking_budget", "thinking_token_budget", "disable_reasoning"),
        *("clear_thinking", "prompt_mode"),
    )
)
"""How much is thought, within the limit on the output, and whether it is shown."""
_PROMPT = frozenset(
    (
        *("chat_template_kwargs", "add_generation_prompt", "continue_final_message", "documents"),
        *("add_special_tokens", "truncate_prompt_tokens", "prompt_truncate_len", "transforms"),
        *("context_length_exceeded_behavior", "document_image_limit", "document_page_limit"),
        *("cache_prompt", "cache_salt", "prompt_cache_isolation_key", "prompt_cache_max_len"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "cache_control"),
    )
)
"""What becomes of the prompt: it may get shorter, or be cached."""
_FILTERS = frozenset(
    (
        *("search_mode", "search_domain_filter", "search_recency_filter", "disable_search"),
        *("search_after_date_filter", "search_before_date_filter", "search_language_filter"),
        *("last_updated_after_filter", "last_updated_before_filter", "enable_search_classifier"),
    )
)
"""Which pages are read by a model that searches with each call, for a fee that its price holds."""
_ATTRIBUTION = frozenset(
    (
        *("model", "user", "user_id", "metadata", "client_metadata", "safety_identifier", "store"),
        *("session_id", "trace", "request_id", "rid", "priority", "id_slot", "debug", "usage"),
        *("user_security_context", "moderation", "service_tier", "stream", "stream_options"),
        *("provider", "route", "ttl", "keep_alive"),
    )
)
"""Who asks, how it is kept and how it is served. OpenRouter chooses between those who serve a model
with `provider` as without it."""
_ANYWHERE = _SAMPLING | _SHAPE | _THINKING | _PROMPT | _FILTERS | _ATTRIBUTION
_TOOLS = frozenset(
    (
        *("tools", "tool_choice", "parallel_tool_calls", "parallel_function_calling"),
        *("disable_tool_validation",),
    )
)

CHAT = (
    _ANYWHERE
    | _TOOLS
    | frozenset(
        (
            *("messages", "n", "best_of", "max_tokens", "max_completion_tokens", "functions"),
            *("function_call", "modalities", "audio", "prediction", "extra_body"),
        )
    )
)
COMPLETIONS = _ANYWHERE | frozenset(("prompt", "suffix", "n", "best_of", "max_tokens"))
RESPONSES = (
    _ANYWHERE
    | _TOOLS
    | frozenset(
        (
            *("input", "instructions", "include", "text", "truncation", "max_output_tokens"),
            *("max_tool_calls", "previous_response_id", "conversation", "prompt", "background"),
            *(
                "background_options",
                "context_management",
                "multi_agent",
                "access_programs",
                "image",
            ),
        )
    )
)
MESSAGES = (
    _ANYWHERE
    | _TOOLS
    | frozenset(
        (
            *(
                "messages",
                "system",
                "max_tokens",
                "stop_sequences",
                "output_config",
                "output_format",
            ),
            *("container", "mcp_servers", "context_management", "compaction", "thread", "betas"),
            *("inference_geo", "speed", "diagnostics", "user_profile_id", "workspace_id"),
            *("billing_policy", "fallback_credit_token", "anthropic_version", "anthropic_beta"),
        )
    )
)


def refuse_unknown(value: Mapping[str, Any], known: frozenset[str]) -> None:
    """Refuse what has no bound, and what nobody here knows the cost of. Raises BadRequestError.

    One that is null says nothing, and passes.
    """
    refuse_unbounded(value)
    for name in value:
        if name not in known and name not in REFUSED and value[name] is not None:
            raise unbounded(name[:64], "this program does not know what it may cost")


def refuse_unbounded(value: Mapping[str, Any]) -> None:
    """Refuse what no surface takes. Raises BadRequestError."""
    for name, why in REFUSED.items():
        if name in value and reading.is_given(value, name):
            raise unbounded(name, why)
    beside = value.get("extra_body")
    if beside is not None:
        google = beside.get("google") if type(beside) is dict and len(beside) == 1 else None
        if type(google) is not dict or not google.keys() <= _GOOGLES:
            raise unbounded("extra_body", "what it asks of the provider is not known here")
