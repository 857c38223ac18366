# One image for web, worker, beat and hardware. Non-root; everything that changes lies under /data.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
COPY requirements.txt .
RUN pip install "$(grep '^torch==' requirements.txt)" && pip install -r requirements.txt
COPY . .
RUN useradd --system --home /data --create-home greenai \
    && GREENAI_DATA_DIR=/tmp/build python manage.py collectstatic --noinput \
    && rm -rf /tmp/build
USER greenai
VOLUME /data
EXPOSE 8000
CMD ["gunicorn", "greenai.wsgi", "-k", "gthread", "--workers", "2", "--threads", "8", "--bind", "0.0.0.0:8000"]
