"""Form fields that become Spark properties, marked where each field is declared."""

from dataclasses import dataclass

from pydantic import BaseModel

from fink_k8s.core.stream.spark_properties import property_text


@dataclass(frozen=True)
class SparkProperty:
    """Marks a field whose value is the value of a Spark property.

    `overhead: Annotated[float, SparkProperty("spark.kubernetes.memoryOverheadFactor")] = 0.4`
    """

    name: str


def form_properties(request: BaseModel) -> dict[str, str]:
    """Return the Spark properties of a request's marked fields that differ from their defaults.

    A field that is left alone adds nothing, so that a new field changes no stream that runs.
    """
    return {
        marker.name: property_text(getattr(request, name))
        for name, field in type(request).model_fields.items()
        for marker in field.metadata
        if isinstance(marker, SparkProperty)
        and getattr(request, name)
        != field.get_default(call_default_factory=True, validated_data={})
    }
