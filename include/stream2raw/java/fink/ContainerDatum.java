package fink;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.zip.Inflater;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.spark.sql.api.java.UDF2;

/**
 * Gives the one datum of an Avro container file, bare and in the reader's schema.
 *
 * <p>ZTF sends each alert as a container file of its own (Avro specification, "Object Container
 * Files"): magic, metadata with the writer's schema, a 16-byte sync marker, then one block. Where
 * the writer's schema is the reader's, the datum is cut out without decoding it; otherwise it is
 * resolved and written anew. A message without the magic is taken to be a bare datum. Anything
 * that is not exactly one whole datum gives null: the caller sets such messages aside.
 */
public final class ContainerDatum implements UDF2<byte[], String, byte[]> {
  private static final byte[] MAGIC = {'O', 'b', 'j', 1};
  private static final int SYNC = 16;
  // An alert has some 70 kB; what swells far beyond that is an attack or damage.
  private static final int LARGEST = 64 << 20;

  private transient Map<String, Schema> schemas;

  @Override
  public byte[] call(byte[] message, String readerSchema) {
    if (message == null || message.length == 0) {
      return null;
    }
    if (!startsWithMagic(message)) {
      return message;
    }
    try {
      return datumOf(message, readerSchema);
    } catch (IOException | RuntimeException | java.util.zip.DataFormatException damaged) {
      return null;
    }
  }

  private byte[] datumOf(byte[] message, String readerSchema)
      throws IOException, java.util.zip.DataFormatException {
    BinaryDecoder in =
        DecoderFactory.get().binaryDecoder(message, MAGIC.length, message.length - MAGIC.length, null);
    String writerSchema = null;
    String codec = "null";
    for (long left = in.readMapStart(); left != 0; left = in.mapNext()) {
      for (; left > 0; left--) {
        String key = in.readString();
        byte[] value = in.readBytes(null).array();
        if (key.equals("avro.schema")) {
          writerSchema = new String(value, StandardCharsets.UTF_8);
        } else if (key.equals("avro.codec")) {
          codec = new String(value, StandardCharsets.UTF_8);
        }
      }
    }
    byte[] sync = new byte[SYNC];
    in.readFixed(sync);
    if (writerSchema == null || in.readLong() != 1) {
      return null;
    }
    byte[] block = in.readBytes(null).array();
    byte[] closing = new byte[SYNC];
    in.readFixed(closing);
    if (!Arrays.equals(sync, closing) || !in.isEnd()) {
      return null;
    }
    byte[] datum = codec.equals("deflate") ? inflate(block) : codec.equals("null") ? block : null;
    return datum == null ? null : resolve(datum, schema(writerSchema), schema(readerSchema));
  }

  private static byte[] resolve(byte[] datum, Schema writer, Schema reader) throws IOException {
    if (writer.equals(reader)) {
      return datum;
    }
    BinaryDecoder in = DecoderFactory.get().binaryDecoder(datum, null);
    Object value = new GenericDatumReader<Object>(writer, reader).read(null, in);
    ByteArrayOutputStream out = new ByteArrayOutputStream(datum.length + 256);
    BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(out, null);
    new GenericDatumWriter<Object>(reader).write(value, encoder);
    encoder.flush();
    return out.toByteArray();
  }

  private Schema schema(String text) {
    if (schemas == null) {
      schemas = new HashMap<>();
    }
    // A night has a handful of schemas; a flood of them would be damage, not a survey.
    if (schemas.size() > 100) {
      schemas.clear();
    }
    return schemas.computeIfAbsent(text, ContainerDatum::lenient);
  }

  /** ZTF's schemas give the default null to unions that begin with another type. */
  private static Schema lenient(String json) {
    return new Schema.Parser().setValidateDefaults(false).parse(json);
  }

  private static byte[] inflate(byte[] block) throws java.util.zip.DataFormatException {
    Inflater inflater = new Inflater(true);
    try {
      inflater.setInput(block);
      ByteArrayOutputStream out = new ByteArrayOutputStream(block.length * 2);
      byte[] buffer = new byte[1 << 16];
      while (!inflater.finished()) {
        int count = inflater.inflate(buffer);
        if (count == 0 || out.size() + count > LARGEST) {
          return null;
        }
        out.write(buffer, 0, count);
      }
      return out.toByteArray();
    } finally {
      inflater.end();
    }
  }

  private static boolean startsWithMagic(byte[] message) {
    if (message.length < MAGIC.length) {
      return false;
    }
    for (int i = 0; i < MAGIC.length; i++) {
      if (message[i] != MAGIC[i]) {
        return false;
      }
    }
    return true;
  }
}
