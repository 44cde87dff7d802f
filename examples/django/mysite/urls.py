"""Which view answers which path."""

from django.contrib.auth import views as auth
from django.templatetags.static import static
from django.urls import path
from django.views.generic import RedirectView

from notes import views

urlpatterns = [
    path("", views.index, name="index"),
    path("upload", views.upload, name="upload"),
    path("download", views.download, name="download"),
    path("slow", views.slow, name="slow"),
    path("login/", auth.LoginView.as_view(), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path("favicon.ico", RedirectView.as_view(url=static("notes/favicon.svg"))),
]
