# onnxplain on the CPU: docker build -f docker/cpu.Dockerfile -t onnxplain .
# docker run --rm -v "$PWD:/work" -v onnxplain-cache:/cache onnxplain explain photo.jpg
FROM python:3.13-slim

COPY . /source
# The CPU's ONNX Runtime and OpenCV without windows: 0.3 GB less than what pip would choose.
RUN pip install --no-cache-dir onnxruntime opencv-python-headless \
 && pip install --no-cache-dir --no-deps /source \
 && pip install --no-cache-dir click lazy-loader numpy onnx pillow scikit-image scipy \
 && rm -r /source \
 && useradd --create-home user \
 && install -d -o user /cache /work
ENV XDG_CACHE_HOME=/cache
USER user
WORKDIR /work
VOLUME /cache
ENTRYPOINT ["onnxplain"]
CMD ["--help"]
