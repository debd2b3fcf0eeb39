"""The trigger form of a DAG, and its run-time validation, from one pydantic model."""

from typing import Any, TypeVar

from airflow.sdk import Param
from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from fink_k8s.core.base.fields import refusal_of
from fink_k8s.glue.base.task_failures import failure_of

Model = TypeVar("Model", bound=BaseModel)


def form_of(model: type[BaseModel], **defaults: Any) -> dict[str, Param]:
    """Return one Airflow parameter a field: its title, description, bounds and default.

    `defaults` are in place of the model's own.

    A field that may be left empty is null in the form; otherwise the form would require a value.
    """
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    params = {}
    for name, field in schema["properties"].items():
        rules = _resolve(field, definitions)
        rules.pop("default", None)
        # The form shows code set apart from its line; plain words read better there.
        rules["description"] = rules.get("description", "").replace("`", "")
        default = to_jsonable_python(
            defaults.get(
                name,
                model.model_fields[name].get_default(call_default_factory=True, validated_data={}),
            )
        )
        if default in ("", []):
            rules["type"], default = ["null", rules["type"]], None
        params[name] = Param(default, **rules)
    return params


def request_from(params: Any, model: type[Model], form: Any = ()) -> Model:
    """Return the validated request of a run.

    The API may be called without the form, so the rules are checked here once more. `form` holds
    the names of the DAG's whole form, of which `model` may be a part; other names are misspelt.

    Raises:
        AirflowFailException: a value breaks a rule; the message names field, rule and remedy.
    """
    known = {
        name: params[name]
        for name in params
        if params[name] is not None and (name in model.model_fields or name not in form)
    }
    try:
        return model.model_validate(known)
    except ValidationError as error:
        raise failure_of(refusal_of(error), retryable=False) from None


def _resolve(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a field's schema with its references written out: the form follows none."""
    if reference := field.get("$ref"):
        target = definitions[reference.rsplit("/", 1)[-1]]
        own = {key: value for key, value in field.items() if key != "$ref"}
        return {**_resolve(target, definitions), **own}
    resolved = dict(field)
    if "items" in resolved:
        items = _resolve(resolved["items"], definitions)
        # A list over an enumeration: the form shows a choice of several by `examples`.
        if values := items.get("enum"):
            resolved["examples"] = values
        resolved["items"] = items
    return resolved
