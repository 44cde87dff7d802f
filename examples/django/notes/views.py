import hashlib
import time
from functools import cache

from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from .forms import NoteForm, UploadForm
from .models import Note

DOWNLOAD_SIZE = 20_000_000
# Byte number i is i mod 251: a block that went missing or came twice is seen.
DOWNLOAD_PIECE = bytes(range(251)) * 256


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def index(request):
    """The page that names its port, and the form that saves a note."""
    form = NoteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        note = form.save(commit=False)
        note.port = request.META["SERVER_PORT"]
        note.author = request.user if request.user.is_authenticated else None
        note.save()
        return redirect("index")
    notes = Note.objects.select_related("author")
    context = {"form": form, "notes": notes[:10], "count": notes.count()}
    return render(request, "notes/index.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def upload(request):
    """Takes a file and says what arrived. Nothing is kept."""
    form = UploadForm(request.POST or None, request.FILES or None)
    result = None
    if request.method == "POST":
        if form.is_valid():
            file = form.cleaned_data["file"]
            digest = hashlib.sha256()
            for chunk in file.chunks():
                digest.update(chunk)
            result = {"name": file.name, "size": file.size, "sha256": digest.hexdigest()}
        if not request.accepts("text/html"):
            if result is None:
                return JsonResponse({"errors": form.errors}, status=400)
            return JsonResponse(result | {"port": int(request.META["SERVER_PORT"])})
    return render(request, "notes/upload.html", {"form": form, "result": result})


def pieces():
    left = DOWNLOAD_SIZE
    while left:
        piece = DOWNLOAD_PIECE[:left]
        left -= len(piece)
        yield piece


@cache
def download_digest():
    digest = hashlib.sha256()
    for piece in pieces():
        digest.update(piece)
    return digest.hexdigest()


@never_cache
@require_safe
def download(request):
    """20 MB, the same each time, sent piece by piece."""
    headers = {
        "Content-Length": str(DOWNLOAD_SIZE),
        "Content-Disposition": 'attachment; filename="20mb.bin"',
        "X-Content-SHA256": download_digest(),
    }
    return StreamingHttpResponse(
        pieces(), content_type="application/octet-stream", headers=headers
    )


@never_cache
def slow(request):
    """Answers after `ms` milliseconds, at most a minute."""
    try:
        ms = int(request.GET.get("ms", "500"))
    except ValueError:
        return HttpResponseBadRequest("ms is a number of milliseconds\n", "text/plain")
    ms = max(0, min(ms, 60_000))
    time.sleep(ms / 1000)
    port = request.META["SERVER_PORT"]
    return HttpResponse(f"port {port} took {ms} ms\n", "text/plain")
