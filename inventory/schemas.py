"""What inventory's routes accept."""

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from chassis.fields import LongText, Schema, SearchText, Title
from chassis.paging import Page


class NewMovie(Schema):
    """A movie to be created."""

    title: Title
    description: LongText | None = None


class MovieChange(Schema):
    """What is to change of a movie; what is left out stays."""

    title: Title = Field(default="")
    description: LongText | None = None

    @model_validator(mode="after")
    def _names_something(self) -> "MovieChange":
        if not self.model_fields_set:
            raise PydanticCustomError("nothing", "must have title, description or both")
        return self


class MovieQuery(Page):
    """Which movies to list."""

    title: SearchText | None = None
