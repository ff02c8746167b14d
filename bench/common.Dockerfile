# As pipes are commonly built: everything on the slim image, the toolkit with all that it asks for, run as root.
FROM python:3.13-slim-trixie
RUN pip install --no-cache-dir bitbucket-pipes-toolkit==6.2.0
COPY floor.py /
ENTRYPOINT ["python", "/floor.py"]
