from django.conf import settings
from django.db import models


class Note(models.Model):
    """A line that somebody left, and the copy of the server that saved it."""

    text = models.CharField(max_length=200)
    port = models.PositiveIntegerField()
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self):
        return self.text
